//! What is typed: options and their forms, nothing that acts.

use super::estimate::parse_size;
use crate::artefact::parse_model_id;
use crate::model::Method;
use clap::{Args, Parser, Subcommand, ValueEnum};
use foldnet_gadgets::cycle::{Bn254, Cycle};
use std::path::PathBuf;

/// Recursive folding proofs that a quantised neural network maps an input to an output.
#[derive(Debug, Parser)]
#[command(name = "foldnet", version, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done, and for `verify` accepted; 1 rejected; 2 could not \
                        decide (any other error)."
)]
pub struct Arguments {
    /// Directory of commitment keys [default: $FOLDNET_CACHE, $XDG_CACHE_HOME/foldnet or
    /// ~/.cache/foldnet].
    #[arg(long, global = true, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prove and verify that a built-in network reads a handwritten digit.
    Demo(Demo),
    /// List what an ONNX model or a program consists of, how it is cut into steps, and what of it
    /// cannot be proven.
    Inspect(Inspect),
    /// Turn an ONNX model into an integer program that can be proven.
    Compile(Compile),
    /// Check every constraint of every step for an input, without proving.
    Mock(Mock),
    /// Prove what a program gives for an input.
    Prove(Prove),
    /// Prove what a program gives for every input of a directory.
    Batch(Batch),
    /// Check a proof for a model that you trust.
    Verify(Verify),
    /// Print the model id of a program.
    ModelId(ModelId),
    /// Write what other tools need: a contract, a circuit, proofs for snarkjs.
    #[command(subcommand)]
    Export(Export),
    /// Import and list commitment keys.
    #[command(subcommand)]
    Keys(Keys),
}

/// What to do with commitment keys.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make the powers of tau of a ceremony the BN254 key of this cache.
    Import(Import),
    /// Print the keys of this cache; every file is read and checked.
    List(List),
    /// Make the phase 2 of a ceremony the Groth16 key of an architecture.
    ImportZkey(ImportZkey),
}

/// Options of `keys import-zkey`.
#[derive(Args, Debug)]
pub struct ImportZkey {
    /// A program of the architecture.
    #[arg(long, value_name = "MODEL.fold")]
    pub model: PathBuf,
    /// What is private about the proofs that the circuit is for.
    #[command(flatten)]
    pub private: Private,
    /// How many inferences the circuit's proofs are about.
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1023))]
    pub inferences: u16,
    /// The ceremony's last file. Check it with `snarkjs zkey verify` first.
    #[arg(long, value_name = "FILE")]
    pub zkey: PathBuf,
}

/// Options of `keys import`.
#[derive(Args, Debug)]
pub struct Import {
    /// The ceremony's file (.ptau, BN254). Compare its published hash first.
    #[arg(long, value_name = "FILE")]
    pub ptau: PathBuf,
    /// Import 2^N points [default: the power of the file].
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=28))]
    pub power: Option<u32>,
    /// Write the numbers as JSON, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Options of `keys list`.
#[derive(Args, Debug)]
pub struct List {
    /// Write the numbers as JSON, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Options of `demo`.
#[derive(Args, Debug)]
pub struct Demo {
    /// Where to write the proof.
    #[arg(short, long, value_name = "PROOF", default_value = "digit.proof")]
    pub output: PathBuf,
    /// Write the numbers as JSON, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Options of `inspect`.
#[derive(Args, Debug)]
pub struct Inspect {
    /// The model, or a compiled program.
    #[arg(value_name = "MODEL.onnx")]
    pub model: PathBuf,
    /// Typical inputs, as `compile` takes them: the plan is then that of `compile`. Without them it has
    /// scales from made-up inputs, and constraints are near those of `compile`.
    #[arg(long, value_name = "INPUTS.json")]
    pub samples: Option<PathBuf>,
    /// Write the lists as JSON, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Options of `mock`.
#[derive(Args, Debug)]
pub struct Mock {
    /// The program.
    #[arg(value_name = "MODEL.fold")]
    pub model: PathBuf,
    /// The input.
    #[arg(long, value_name = "INPUT.json")]
    pub input: PathBuf,
    /// Clamp values outside of the calibrated range instead of refusing them.
    #[arg(long)]
    pub saturate: bool,
    /// Write the numbers as JSON, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Options of `compile`.
#[derive(Args, Debug)]
pub struct Compile {
    /// The model.
    #[arg(value_name = "MODEL.onnx")]
    pub model: PathBuf,
    /// Typical inputs: {"input_data": [[...], ...]}, with "labels": [...] if known.
    #[arg(long, value_name = "INPUTS.json")]
    pub samples: PathBuf,
    /// Where to write the program.
    #[arg(short, long, value_name = "MODEL.fold")]
    pub output: PathBuf,
    /// Width of the activations in bits, 2 to 16 [default: 8, or what a quantised model needs].
    #[arg(long, value_name = "BITS")]
    #[arg(value_parser = clap::value_parser!(u32).range(2..=16))]
    pub bits: Option<u32>,
    /// How ranges of activations follow from the samples: `max`, `mse`, or a percentage of values to
    /// keep such as `99.9`.
    #[arg(long, value_name = "METHOD", default_value = "max")]
    pub calibration: Method,
    /// Refuse a model whose activations saturate on the samples.
    #[arg(long)]
    pub strict: bool,
    /// A step has at most 2^N weights, N up to 22: more makes fewer, larger steps [default: 20, or 22
    /// for a model that 20 do not do for].
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=22))]
    pub step_variables: Option<u8>,
    /// Inferences that every step carries: `batch --aggregate` then proves that many at once.
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub batch: u16,
    /// Make steps so small that proving takes at most this much memory, 800M or 1.5G, or refuse.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub memory: Option<u64>,
    /// The proof that steps are planned for, and that --memory is about.
    #[arg(long, value_name = "KIND", value_enum, default_value = "groth16")]
    pub proof: ProofKind,
    /// Write the numbers as JSON, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// The kinds of proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProofKind {
    /// Large, made at once, hides nothing: for tests.
    Folded,
    /// 10 to 40 kilobytes, no set-up of its own: for verifiers off chain.
    Spartan,
    /// About two kilobytes, verified by a contract: needs keys, made once per architecture.
    Groth16,
}

impl ProofKind {
    /// The name, as [`crate::proof::Proof::kind`] gives it.
    pub fn name(self) -> &'static str {
        match self {
            ProofKind::Folded => "folded",
            ProofKind::Spartan => "spartan",
            ProofKind::Groth16 => "groth16",
        }
    }
}

/// What can be private.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Hidden {
    /// The proof shows a commitment in place of the input.
    Input,
    /// The proof shows a commitment in place of the output.
    Output,
    /// The model id says nothing about the weights.
    Model,
}

impl Hidden {
    /// The name, as `--private` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Hidden::Input => "input",
            Hidden::Output => "output",
            Hidden::Model => "model",
        }
    }
}

/// What is private.
#[derive(Args, Debug, Default)]
pub struct Private {
    /// What is private, separated by commas; everything else is public.
    #[arg(long, value_name = "WHAT,...", value_enum, value_delimiter = ',')]
    pub private: Vec<Hidden>,
    /// The blinds of a private model: a secret, drawn once, without which its model id is lost
    /// [default: the program's name, ending in .blinds].
    #[arg(long, value_name = "FILE")]
    pub blinds: Option<PathBuf>,
}

/// Options of `prove`.
#[derive(Args, Debug)]
pub struct Prove {
    /// The program.
    #[arg(value_name = "MODEL.fold")]
    pub model: PathBuf,
    /// The input: {"input_data": [[...]]}.
    #[arg(long, value_name = "INPUT.json")]
    pub input: PathBuf,
    /// The proof to make.
    #[arg(long, value_name = "KIND", value_enum)]
    pub proof: ProofKind,
    /// What the contract shows to its caller against replay: a number below the field's order, as
    /// 0x and hex digits. For `--proof groth16`.
    #[arg(long, value_name = "HEX", value_parser = field_element)]
    pub context: Option<<Bn254 as Cycle>::F>,
    /// Where to write the proof.
    #[arg(short, long, value_name = "PROOF")]
    pub output: PathBuf,
    /// Clamp input values outside the calibrated range instead of refusing them.
    #[arg(long)]
    pub saturate: bool,
    /// What the proof does not show. What opens it is written beside the proof, into
    /// PROOF.input.opening and PROOF.output.opening.
    #[command(flatten)]
    pub private: Private,
    /// Refuse at once what will take more memory than this: 800M, 1.5G.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub memory: Option<u64>,
    /// Against being stopped.
    #[command(flatten)]
    pub keep: Keep,
    /// Write the numbers as JSON, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Options of `batch`.
#[derive(Args, Debug)]
#[command(
    after_help = "Standard output gets one JSON object a line for every input: file, status \
                  (proven, kept or failed), seconds, and proof, bytes, output_scale and, of a public \
                  output, prediction, or error; with --aggregate also the index in the proof. An input that cannot be used does not stop the \
                  others; the exit code is then 2. Proofs that are there, accepted and about the \
                  same input are kept, so that the command can be run again."
)]
pub struct Batch {
    /// The program.
    #[arg(value_name = "MODEL.fold")]
    pub model: PathBuf,
    /// A directory with inputs, NAME.json each, taken in the order of their names.
    #[arg(long, value_name = "DIR")]
    pub inputs: PathBuf,
    /// The proofs to make.
    #[arg(long, value_name = "KIND", value_enum)]
    pub proof: ProofKind,
    /// The context of groth16 proofs, as for `prove`.
    #[arg(long, value_name = "HEX", value_parser = field_element)]
    pub context: Option<<Bn254 as Cycle>::F>,
    /// The directory to write NAME.proof into for every NAME.json.
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Make one proof of all inputs instead, aggregate.proof.
    #[arg(long)]
    pub aggregate: bool,
    /// Clamp input values outside the calibrated range instead of refusing them.
    #[arg(long)]
    pub saturate: bool,
    /// What the proofs do not show, as for `prove`.
    #[command(flatten)]
    pub private: Private,
    /// Refuse at once what will take more memory than this: 800M, 1.5G.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub memory: Option<u64>,
    /// Against being stopped; for --aggregate.
    #[command(flatten)]
    pub keep: Keep,
    /// Write the lines of standard output into this file, too.
    #[arg(long, value_name = "FILE")]
    pub summary: Option<PathBuf>,
    /// Write the numbers of the whole batch as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// What is kept of a run, so that it can be continued.
#[derive(Args, Debug)]
pub struct Keep {
    /// Save the state of the run in this file now and then. It is a secret, and serves one proof:
    /// never continue a copy.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Save after every N steps.
    #[arg(long, value_name = "N", requires = "checkpoint")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub checkpoint_every: Option<u64>,
    /// Save after every T seconds [default: 60, unless --checkpoint-every is given].
    #[arg(long, value_name = "T", requires = "checkpoint")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub checkpoint_seconds: Option<u64>,
    /// Continue the run of the checkpoint; start it when there is no such file yet.
    #[arg(long, requires = "checkpoint")]
    pub resume: bool,
}

/// Options of `verify`.
#[derive(Args, Debug)]
pub struct Verify {
    /// The proof.
    #[arg(value_name = "PROOF")]
    pub proof: PathBuf,
    /// The model that you trust.
    #[command(flatten)]
    pub trusted: Trusted,
    /// Reject a proof about another input than this one: {"input_data": [[...]]}.
    #[arg(long, value_name = "INPUT.json")]
    pub input: Option<PathBuf>,
    /// Reject a proof about other inputs than those of this directory, in the order of their names.
    #[arg(long, value_name = "DIR", conflicts_with = "input")]
    pub inputs: Option<PathBuf>,
    /// Clamp values of --input or --inputs outside the calibrated range, as `prove --saturate` does.
    #[arg(long)]
    pub saturate: bool,
    /// What must be private, and nothing else: a commitment in place of values is rejected unless it
    /// is asked for.
    #[command(flatten)]
    pub private: Private,
    /// What opens a private input or output: the proof is about these values, or rejected.
    #[arg(long, value_name = "FILE")]
    pub opening: Vec<PathBuf>,
    /// Derive commitment keys of more than 2^20 points for a proof checked by its model id; large
    /// ones take minutes and gigabytes.
    #[arg(long)]
    pub allow_large_keys: bool,
    /// Reject a groth16 proof with another context than this one.
    #[arg(long, value_name = "HEX", value_parser = field_element)]
    pub context: Option<<Bn254 as Cycle>::F>,
    /// Also deploy the contract into an embedded EVM and call it. For `groth16` proofs.
    #[arg(long)]
    pub evm: bool,
    /// The Groth16 verifying key that you trust [default: the one made or imported here].
    #[arg(long, value_name = "FILE")]
    pub verifying_key: Option<PathBuf>,
    /// Write the numbers as JSON, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// The model that a verifier trusts: exactly one of both.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct Trusted {
    /// The model id, as `foldnet model-id` prints it.
    #[arg(long, value_name = "ID", value_parser = model_id)]
    pub model_id: Option<<Bn254 as Cycle>::F>,
    /// The program, whose id is computed from its weights.
    #[arg(long, value_name = "MODEL.fold")]
    pub model: Option<PathBuf>,
}

/// Options of `model-id`.
#[derive(Args, Debug)]
pub struct ModelId {
    /// The program.
    #[arg(value_name = "MODEL.fold")]
    pub model: PathBuf,
    /// With `--private model`: its id under its blinds, which are drawn the first time.
    #[command(flatten)]
    pub private: Private,
}

/// What `export` writes.
#[derive(Debug, Subcommand)]
pub enum Export {
    /// The contract: Solidity, ABI, bytecode, constructor arguments, and calldata for a proof.
    Contract(ExportContract),
    /// The decider circuit as an .r1cs file, for a ceremony.
    Circuit(ExportCircuit),
    /// A groth16 proof, its public inputs and the verifying key as snarkjs reads them.
    Snarkjs(ExportSnarkjs),
}

/// Options of `export contract`.
#[derive(Args, Debug)]
pub struct ExportContract {
    /// The program whose model the contract is for.
    #[arg(long, value_name = "MODEL.fold")]
    pub model: PathBuf,
    /// A groth16 proof, for which calldata is written.
    #[arg(long, value_name = "PROOF")]
    pub proof: Option<PathBuf>,
    /// The directory to write into.
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// What is private about the proofs that it takes.
    #[command(flatten)]
    pub private: Private,
    /// Export a contract under development keys, for which anyone can forge proofs.
    #[arg(long)]
    pub accept_insecure_development_keys: bool,
}

/// Options of `export circuit`.
#[derive(Args, Debug)]
pub struct ExportCircuit {
    /// The program whose architecture the circuit is for.
    #[arg(long, value_name = "MODEL.fold")]
    pub model: PathBuf,
    /// What is private about the proofs that the circuit is for.
    #[command(flatten)]
    pub private: Private,
    /// How many inferences the circuit's proofs are about: for those of `batch --aggregate`.
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1023))]
    pub inferences: u16,
    /// Where to write the circuit.
    #[arg(short, long, value_name = "CIRCUIT.r1cs")]
    pub output: PathBuf,
}

/// Options of `export snarkjs`.
#[derive(Args, Debug)]
pub struct ExportSnarkjs {
    /// The program that was proven.
    #[arg(long, value_name = "MODEL.fold")]
    pub model: PathBuf,
    /// The groth16 proof.
    #[arg(long, value_name = "PROOF")]
    pub proof: PathBuf,
    /// What is private about it.
    #[command(flatten)]
    pub private: Private,
    /// The directory to write into.
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
}

fn field_element(text: &str) -> Result<<Bn254 as Cycle>::F, String> {
    let Some(digits) = text.strip_prefix("0x") else {
        // A decimal number would be read as another one.
        return Err("expected 0x in front of hex digits: 0x2a for 42".into());
    };
    if digits.is_empty() || digits.len() > 64 {
        return Err("expected 0x and 1 to 64 hex digits".into());
    }
    parse_model_id(&format!("0x{digits:0>64}"))
        .map_err(|_| "expected hex digits of a number below the field's order (2^253 is)".into())
}

fn model_id(text: &str) -> Result<<Bn254 as Cycle>::F, String> {
    parse_model_id(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn contexts_have_a_prefix() {
        assert_eq!(field_element("0x2a"), Ok(42.into()));
        for text in ["42", "2a", "0x", "0xg", ""] {
            assert!(field_element(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_definitions_are_consistent() {
        Arguments::command().debug_assert();
    }
}
