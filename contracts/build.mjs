// Compiles FoldnetVerifier.sol with the pinned solc and writes FoldnetVerifier.json next to it.
// `npm ci && node build.mjs` reproduces the committed file byte for byte.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import solc from "solc";

const NAME = "FoldnetVerifier";
const here = (name) => fileURLToPath(new URL(name, import.meta.url));

const settings = {
  viaIR: true,
  optimizer: { enabled: true, runs: 1000000 },
  evmVersion: "cancun",
  metadata: { bytecodeHash: "none", appendCBOR: false },
  outputSelection: { [NAME + ".sol"]: { [NAME]: ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
};

const input = {
  language: "Solidity",
  sources: { [NAME + ".sol"]: { content: readFileSync(here(NAME + ".sol"), "utf8") } },
  settings,
};

const output = JSON.parse(solc.compile(JSON.stringify(input)));
const messages = output.errors ?? [];
if (messages.length > 0) {
  console.error(messages.map((message) => message.formattedMessage).join("\n"));
  process.exit(1);
}

const contract = output.contracts[NAME + ".sol"][NAME];
const build = {
  contract: NAME,
  solc: solc.version(),
  settings: { ...settings, outputSelection: undefined },
  abi: contract.abi,
  bytecode: contract.evm.bytecode.object,
  deployedBytes: contract.evm.deployedBytecode.object.length / 2,
};
// An argument names another place to write to.
writeFileSync(process.argv[2] ?? here(NAME + ".json"), JSON.stringify(build, null, 2) + "\n");
