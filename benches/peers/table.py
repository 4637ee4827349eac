"""Measures foldnet on the networks of `make.py` and prints one table, with what others published.

For every network: `compile`, then for every kind of proof one run of `prove` with an empty cache of keys
and N more with a full one, then `verify`. Each command is a process of its own. The policy network is
proven by `batch --aggregate`: about 1,000 inferences in one proof. Where Python has `ezkl`, EZKL runs on
the same files (`ezkl_run.py`), and its rows and ratios join the table.

Times of a row are medians of the runs with a full cache:

* `fold`, `compress`: folding all steps; turning the result into a succinct proof. Set-up and witness are not in it, as in the peers' figures.
* `set-up`: parameters, keys and weight commitments from the cache, and masked start instances.
* `witness`: evaluating the integer network, step by step.
* `first time`: the same of the first run, which makes keys and commitments. Compiling and calibrating
  are in no column; of EZKL, neither is its reference string.
* `memory`: highest resident set of the process that proves; of EZKL, of its stage `prove`.

The table goes to standard output as Markdown, progress to standard error, and every report of every
command to --raw as JSON lines. A command that fails or takes too long costs its row and no other; the
row says why, and the exit code is then 1.

Usage: python table.py FOLDNET FOLDER [--raw FILE] [--runs N] [--only NAME ...] [--proof KIND ...]
Needs: nothing to run; numpy and onnx to write networks that FOLDER lacks (requirements.txt).
"""

import argparse
import datetime
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPORTED = 50  # longest list of a report that is kept in --raw

PAPER0 = "paper0 (Modulus Labs, The Cost of Intelligence, 2023), 64 vCPU, read from a plot"
EZKL = "EZKL 23.0.5, measured with ezkl_run.py on 2 cores and 24 GB"
ZATOR = "Zator (2023), on a CPU of AWS"


@dataclass(frozen=True)
class Peer:
    """A published figure: seconds to prove, highest memory in bytes if known, and where it is from."""

    system: str
    seconds: float
    memory: float | None
    source: str


@dataclass(frozen=True)
class Network:
    """What is measured of a network, and how far it may go."""

    name: str
    proofs: tuple[str, ...]
    seconds: float  # goal: fold; of the policy network for each inference
    memory: float  # goal: bytes of a folded proof's process
    peers: tuple[Peer, ...]
    batched: bool = False


NETWORKS = (
    Network(
        "mlp_512x64",
        ("folded", "groth16"),
        6,
        0.6e9,
        (Peer("EZKL", 198.7, 19.3e9, EZKL),),
    ),
    Network(
        "depth_500",
        ("folded", "groth16"),
        10,
        0.8e9,
        (Peer("zkCNN", 53, 12.1e9, PAPER0), Peer("Plonky2", 122, 102e9, PAPER0)),
    ),
    Network(
        "parameters_123",
        ("folded", "groth16"),
        9,
        1.0e9,
        (
            Peer("Plonky2", 63, 56e9, PAPER0),
            Peer("zkCNN", 85, 21.5e9, PAPER0),
            Peer("Halo2", 313, 48e9, PAPER0),
        ),
    ),
    Network(
        "zator_510",
        ("folded",),
        50,
        0.8e9,
        (Peer("Zator", 26_967, None, ZATOR),),
    ),
    Network(
        "mlp_784_128_128_10",
        ("folded", "spartan", "groth16"),
        1.0,
        0.4e9,
        (Peer("EZKL", 10.8, 1.27e9, EZKL),),
    ),
    Network(
        "policy_784_64_64_10",
        ("spartan",),
        0.05,
        3e9,
        (Peer("zkCNN, one MLP", 0.6, None, PAPER0),),
        batched=True,
    ),
)

# On top of folding.
GROTH16_SECONDS, GROTH16_MEMORY = 20, 3e9


class Failed(Exception):
    """A command that gave no result, and why."""


@dataclass
class Row:
    """A line of the table. Seconds and bytes; None where there is nothing to say."""

    network: str
    system: str
    runs: int = 0
    fold: float | None = None
    compress: float | None = None
    setup: float | None = None
    witness: float | None = None
    first: float | None = None
    verify: float | None = None
    proof: int | None = None
    memory: int | None = None
    notes: list[str] = field(default_factory=list)
    failed: bool = False

    @property
    def prove(self):
        """Fold and compress."""
        parts = [part for part in (self.fold, self.compress) if part is not None]
        return sum(parts) if parts else None

    @property
    def everything(self):
        """With witness and set-up."""
        if self.prove is None:
            return None
        return self.prove + (self.setup or 0) + (self.witness or 0)


class Raw:
    """The file of JSON lines."""

    def __init__(self, path):
        self.file = path.open("w") if path else None

    def write(self, **line):
        if self.file:
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()


def note(text):
    print(text, file=sys.stderr, flush=True)


def run(command, timeout):
    """Runs a command; returns its wall time and standard output."""
    start = time.perf_counter()
    command = [str(part) for part in command]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Failed(f"stopped after {timeout} s") from None
    except OSError as error:
        raise Failed(str(error)) from None
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        errors = [line for line in lines if line.startswith("error")] or lines
        reason = errors[-1] if errors else "no message"
        raise Failed(f"exit code {done.returncode}: {reason}")
    return seconds, done.stdout


def shortened(report):
    """A report without long lists."""
    return {
        key: value
        for key, value in report.items()
        if not isinstance(value, list) or len(value) <= REPORTED and key != "inferences"
    }


class Measured:
    """One network with its files in a scratch directory of its own."""

    def __init__(self, options, raw, network, scratch):
        self.options, self.raw, self.network, self.scratch = options, raw, network, scratch
        self.program = scratch / "model.fold"
        folder = options.folder
        self.onnx = folder / f"{network.name}.onnx"
        self.samples = folder / f"{network.name}.samples.json"
        self.input = folder / f"{network.name}.input.json"
        self.count = 1

    def foldnet(self, command, *arguments, **about):
        """Runs a command of foldnet; returns its report, with the wall time as `wall_seconds`."""
        path = self.scratch / "report.json"
        path.unlink(missing_ok=True)
        keys = self.scratch / "keys"
        whole = [self.options.foldnet, "--cache", keys, command, *arguments, "--json", path]
        about = {"network": self.network.name, "command": command, **about}
        note("  " + " ".join(str(value) for value in about.values()))
        try:
            seconds, _ = run(whole, self.options.timeout)
            report = json.loads(path.read_text())
        except (Failed, OSError, ValueError) as error:
            self.raw.write(**about, error=str(error))
            raise Failed(f"{command}: {error}") from None
        report["wall_seconds"] = seconds
        self.raw.write(**about, report=shortened(report))
        return report

    def compile(self):
        arguments = [self.onnx, "--samples", self.samples, "-o", self.program]
        if self.network.batched:
            arguments += ["--batch", self.options.batch]
            self.write_inputs()
        self.foldnet("compile", *arguments)

    def write_inputs(self):
        """Writes random inputs as `make.py` draws them: between 0 and 1, with two decimals."""
        self.count = self.options.inferences
        length = len(json.loads(self.input.read_text())["input_data"][0])
        draw = random.Random(self.network.name)
        folder = self.scratch / "inputs"
        folder.mkdir()
        for i in range(self.count):
            values = [draw.randint(0, 100) / 100 for _ in range(length)]
            (folder / f"{i:04}.json").write_text(json.dumps({"input_data": [values]}))

    def prove(self, proof, number):
        """Proves once; returns the report and the proof's path."""
        about = {"proof": proof, "run": number}
        if not self.network.batched:
            path = self.scratch / "model.proof"
            arguments = [self.program, "--input", self.input, "--proof", proof, "-o", path]
            return self.foldnet("prove", *arguments, **about), path
        # A proof that is there would be kept.
        folder = self.scratch / f"proofs_{proof}_{number}"
        arguments = [self.program, "--inputs", self.scratch / "inputs", "--proof", proof]
        arguments += ["-o", folder, "--aggregate"]
        return self.foldnet("batch", *arguments, **about), folder / "aggregate.proof"

    def verify(self, proof, path, model):
        compared = ["--input", self.input]
        if self.network.batched:
            compared = ["--inputs", self.scratch / "inputs"]
        arguments = [path, "--model-id", model, "--allow-large-keys", *compared]
        return self.foldnet("verify", *arguments, proof=proof)

    def row(self, proof):
        """The line of a kind of proof: a run that makes keys, others that find them, and `verify`."""
        name = self.network.name + (f" x {self.count}" if self.network.batched else "")
        row = Row(name, f"foldnet, {proof}")
        try:
            first, path = self.prove(proof, 0)
            row.first = prove_seconds(first) + setup_seconds(first) + first["witness_seconds"]
            start, reports = time.perf_counter(), []
            while len(reports) < self.runs(proof):
                report, path = self.prove(proof, len(reports) + 1)
                reports.append(report)
                if time.perf_counter() - start > self.options.seconds:
                    break
            fill(row, reports, proof)
            verified = self.verify(proof, path, first["model_id"])
            row.verify = verified["verify_seconds"]
        except (Failed, KeyError) as error:
            row.failed = True
            row.notes.append(str(error) if isinstance(error, Failed) else f"no {error} in a report")
        row.notes += goals(self.network, proof, row, self.count) + ratios(self.network, row, self.count)
        return row

    def runs(self, proof):
        """A succinct proof repeats the folding that was measured already, and takes long."""
        return self.options.runs if proof == "folded" else 1


def compress_seconds(report):
    """Seconds of making a succinct proof; None of a folded one."""
    return report.get("groth16_seconds", report.get("spartan_seconds"))


def prove_seconds(report):
    return report["fold_seconds"] + (compress_seconds(report) or 0)


def setup_seconds(report):
    """Keys, commitments and start instances."""
    keys = report.get("groth16_keys_seconds", 0)
    return report["setup_seconds"] + report["start_seconds"] + keys


def fill(row, reports, proof):
    """Medians of some runs."""
    row.runs = len(reports)
    median = lambda values: statistics.median(list(values))
    row.fold = median(report["fold_seconds"] for report in reports)
    row.setup = median(setup_seconds(report) for report in reports)
    row.witness = median(report["witness_seconds"] for report in reports)
    row.memory = median(report["peak_memory_bytes"] for report in reports)
    row.proof = reports[-1]["proof_bytes"]
    if proof != "folded":
        row.compress = median(compress_seconds(report) for report in reports)


def goals(network, proof, row, count):
    """What the project wants of this row, and whether it is met."""
    if row.fold is None:
        return []
    each = " each" if network.batched else ""
    wanted = [(f"fold{each}", row.fold / count, network.seconds, "s", 1)]
    if proof == "groth16":
        wanted.append(("compress", row.compress, GROTH16_SECONDS, "s", 1))
        wanted.append(("memory", row.memory, GROTH16_MEMORY, "GB", 1e9))
    elif proof == "folded":
        wanted.append(("memory", row.memory, network.memory, "GB", 1e9))
    verdict = lambda got, most: "met" if got <= most else "MISSED"
    return [
        f"goal {what} {most / unit:g} {name}: {got / unit:.3g}, {verdict(got, most)}"
        for what, got, most, name, unit in wanted
    ]


def ratios(network, row, count):
    """How many times more others take for the same work, as they published."""
    if row.prove is None:
        return []
    texts = []
    for peer in network.peers:
        text = f"{peer.system} {peer.seconds:g} s ({times(peer.seconds, row.prove / count)}"
        if peer.memory:
            text += f"), {peer.memory / 1e9:g} GB ({times(peer.memory, row.memory)}"
        texts.append(text + ")")
    return texts


def times(theirs, ours):
    return f"x{theirs / ours:.3g}" if theirs and ours else "-"


def measure(options, raw, network):
    """All rows of a network."""
    note(network.name)
    with tempfile.TemporaryDirectory(prefix="foldnet-peers-", dir=options.scratch) as scratch:
        measured = Measured(options, raw, network, Path(scratch))
        try:
            generate(options, raw, network.name)
            measured.compile()
        except (Failed, OSError, ValueError, LookupError) as error:
            return [Row(network.name, "foldnet", notes=[str(error)], failed=True)]
        wanted = options.proof or network.proofs
        return [measured.row(proof) for proof in wanted]


def generate(options, raw, name):
    """Writes a network that is not there."""
    files = [options.folder / f"{name}.{end}" for end in ("onnx", "samples.json", "input.json")]
    if all(path.exists() for path in files):
        return
    note(f"  make.py {name}")
    try:
        run([options.python, HERE / "make.py", options.folder, name], options.timeout)
    except Failed as error:
        raw.write(network=name, command="make.py", error=str(error))
        raise Failed(f"make.py (see requirements.txt): {error}") from None


def ezkl_version(options):
    """The version of EZKL; None where Python has none."""
    try:
        code = "import ezkl; print(ezkl.__version__)"
        return run([options.ezkl_python, "-c", code], options.timeout)[1].strip()
    except Failed:
        return None


def ezkl_row(options, raw, name, version):
    """EZKL's whole pipeline on a network."""
    row = Row(name, f"EZKL {version}")
    note(f"{name} ezkl_run.py")
    stages = {}
    command = [options.ezkl_python, HERE / "ezkl_run.py", options.folder, name]
    try:
        done = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            timeout=options.ezkl_timeout,
        )
        for line in done.stdout.splitlines():
            if line.startswith("{"):
                stage = json.loads(line)
                raw.write(command="ezkl_run.py", **stage)
                stages[stage["stage"]] = stage
        broken = [stage for stage in stages.values() if "error" in stage]
        if broken:
            raise Failed(f"{broken[0]['stage']}: {broken[0]['error']}")
        if "total" not in stages:
            raise Failed((done.stderr.strip().splitlines() or ["no result"])[-1])
    except (Failed, ValueError, KeyError, OSError, subprocess.TimeoutExpired) as error:
        row.failed = True
        row.notes.append(str(error))
        return row
    seconds = {stage: line["seconds"] for stage, line in stages.items() if "seconds" in line}
    row.runs = 1
    row.compress = seconds["prove"]
    row.setup, row.witness = 0, seconds["witness"]
    row.first = seconds["setup"] + seconds["witness"] + seconds["prove"]
    row.verify = seconds["verify"]
    row.proof = stages["total"]["proof_bytes"]
    row.memory = stages["prove"]["peak_bytes"]
    keys = stages["setup"]
    row.notes.append(f"keys {keys['seconds']:.3g} s, {size(keys['pk_bytes'])}, {size(keys['peak_bytes'])}")
    return row


def compare(rows):
    """Adds EZKL's ratios in the same run to the rows of foldnet."""
    theirs = {row.network: row for row in rows if row.system.startswith("EZKL") and not row.failed}
    for row in rows:
        other = theirs.get(row.network)
        if other is None or other is row or row.prove is None:
            continue
        pairs = [
            ("prove", other.prove, row.prove),
            ("first time", other.first, row.first),
            ("verify", other.verify, row.verify),
            ("proof", other.proof, row.proof),
            ("memory", other.memory, row.memory),
        ]
        shown = ", ".join(f"{what} {times(a, b)}" for what, a, b in pairs)
        row.notes.append(f"{other.system} in this run: {shown}")


def seconds(value):
    if value is None:
        return "-"
    return f"{value:.3f} s" if value < 0.1 else f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def size(value):
    if value is None:
        return "-"
    if value < 100_000:
        return f"{value:,} B"
    return f"{value / 1e6:.1f} MB" if value < 1e9 else f"{value / 1e9:.2f} GB"


HEADER = (
    "network",
    "system",
    "runs",
    "fold",
    "compress",
    "fold + compress",
    "+ set-up",
    "+ witness",
    "with both",
    "first time",
    "verify",
    "proof",
    "memory",
    "goals; published by others, as a multiple of fold + compress and of memory",
)


def line(row):
    cells = [row.network, row.system, str(row.runs)]
    cells += [seconds(value) for value in (row.fold, row.compress, row.prove)]
    cells += [seconds(value) for value in (row.setup, row.witness, row.everything, row.first)]
    cells += [seconds(row.verify), size(row.proof), size(row.memory)]
    notes = "; ".join(row.notes).replace("|", "/")
    cells.append(f"FAILED: {notes}" if row.failed else notes)
    return "| " + " | ".join(cells) + " |"


def print_table(machine, rows):
    print(f"{machine['processor']}, {machine['cores']} cores, {machine['memory']}; {machine['date']};")
    print(f"{machine['foldnet']}; load before: {machine['load']}\n")
    print("| " + " | ".join(HEADER) + " |")
    print("|" + "---|" * len(HEADER))
    for row in rows:
        print(line(row))
    print("\nSources of published figures:")
    for source in dict.fromkeys(peer.source for network in NETWORKS for peer in network.peers):
        print(f"* {source}")


def machine(options):
    """What the figures depend on."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "memory": f"{pages / (1 << 30):.0f} GiB",
        "load": f"{os.getloadavg()[0]:.2f}",
        "foldnet": run([options.foldnet, "--version"], options.timeout)[1].strip(),
    }


def arguments():
    names = [network.name for network in NETWORKS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("foldnet", type=Path, help="the command, built with --release")
    parser.add_argument("folder", type=Path, help="where make.py wrote, or is to write")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    kinds = ("folded", "spartan", "groth16")
    parser.add_argument("--proof", nargs="+", choices=kinds, help="instead of each network's own")
    parser.add_argument("--runs", type=int, default=3, help="of folded proofs; others once [3]")
    parser.add_argument("--seconds", type=float, default=45, help="no further run after this [45]")
    parser.add_argument("--timeout", type=float, default=600, help="seconds of one command [600]")
    parser.add_argument("--inferences", type=int, default=1000, help="of the policy network [1000]")
    parser.add_argument(
        "--batch",
        type=int,
        default=32,
        help="of them in a step; the last is repeated until steps are full [32]",
    )
    parser.add_argument("--raw", type=Path, help="file for JSON lines")
    parser.add_argument("--scratch", type=Path, help="directory for keys and proofs, 2 GB")
    parser.add_argument("--python", default=sys.executable, help="with numpy and onnx")
    parser.add_argument("--ezkl-python", default=sys.executable, help="with ezkl")
    parser.add_argument(
        "--ezkl",
        nargs="*",
        default=["mlp_784_128_128_10"],
        metavar="NAME",
        help="networks for EZKL; mlp_512x64 takes 20 GB and ten minutes [mlp_784_128_128_10]",
    )
    parser.add_argument("--ezkl-timeout", type=float, default=3600, help="seconds [3600]")
    options = parser.parse_args()
    if shutil.which(options.foldnet) is None:
        parser.error(f"{options.foldnet} is no program: cargo build --release")
    options.foldnet = Path(shutil.which(options.foldnet)).resolve()
    if min(options.runs, options.batch, options.inferences) < 1:
        parser.error("--runs, --batch and --inferences are at least 1")
    options.folder.mkdir(parents=True, exist_ok=True)
    return options


def main():
    options = arguments()
    raw = Raw(options.raw)
    about = machine(options)
    raw.write(**about)
    rows = []
    version = ezkl_version(options) if options.ezkl else None
    if options.ezkl and version is None:
        note("no ezkl: its rows are left out (pip install -r requirements-ezkl.txt)")
    for network in NETWORKS:
        if options.only and network.name not in options.only:
            continue
        rows += measure(options, raw, network)
        if version and network.name in options.ezkl:
            rows.append(ezkl_row(options, raw, network.name, version))
    compare(rows)
    print_table(about, rows)
    raise SystemExit(1 if any(row.failed for row in rows) else 0)


if __name__ == "__main__":
    main()
