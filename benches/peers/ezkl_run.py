"""Runs EZKL's whole pipeline on networks that `make.py` wrote, and measures each stage.

Stages: settings, calibrate, compile, srs, setup (keys), witness, prove, verify. Each runs in a process
of its own, so that its peak memory is its own. Weights are private, input and output public. The
structured reference string is generated here, which is insecure and only good for measuring.

Prints one JSON line per stage: `network`, `stage`, `seconds` (of the call, without starting Python),
`peak_bytes` (highest resident set of the process), and sizes of files where a stage writes some; then
one line with stage `total` per network: `prove_seconds`, `key_seconds`, `peak_bytes`, `proof_bytes`.
A stage that fails has `error` and ends its network; the exit code is then 1.

EZKL keeps all columns in memory: 784-128-128-10 takes 1.3 GB, 512 layers of 64 about 20 GB. The
reference string takes half a minute for the smallest of the three and sixteen times as long for the
largest; it is kept in FOLDER/ezkl, where the proving keys (up to 9 GB) are written too.

Usage: python ezkl_run.py FOLDER [NAME ...]      without names: the three EZKL networks
Needs: pip install -r requirements-ezkl.txt; Linux (peak memory is read from /proc)
"""

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import ezkl

NAMES = ("mlp_784_128_128_10", "mlp_128x64", "mlp_512x64")
STAGES = ("settings", "calibrate", "compile", "srs", "setup", "witness", "prove", "verify")
CALIBRATION = 10  # samples that EZKL calibrates with; it evaluates each at many scales


class Files:
    """Where the files of one network are."""

    def __init__(self, folder, name):
        work = folder / "ezkl"
        work.mkdir(exist_ok=True)
        self.work = work
        self.model = folder / f"{name}.onnx"
        self.samples = folder / f"{name}.samples.json"
        self.input = folder / f"{name}.input.json"
        for kind in ("settings", "data", "witness", "proof"):
            setattr(self, kind, work / f"{name}.{kind}.json")
        for kind in ("circuit", "vk", "pk"):
            setattr(self, kind, work / f"{name}.{kind}")

    @property
    def srs(self):
        """One reference string for each size that calibration chooses."""
        rows = json.loads(self.settings.read_text())["run_args"]["logrows"]
        return self.work / f"insecure_{rows}.srs", rows


def settings(files):
    arguments = ezkl.PyRunArgs()
    arguments.input_visibility = "public"
    arguments.output_visibility = "public"
    arguments.param_visibility = "private"
    return ezkl.gen_settings(files.model, files.settings, py_run_args=arguments)


def calibrate(files):
    rows = json.loads(files.samples.read_text())["input_data"][:CALIBRATION]
    files.data.write_text(json.dumps({"input_data": rows}))
    return ezkl.calibrate_settings(
        str(files.data),
        files.model,
        files.settings,
        "resources",
        lookup_safety_margin=2,
        scales=None,
        scale_rebase_multiplier=[1],
        max_logrows=None,
    )


def compile(files):
    return ezkl.compile_circuit(files.model, files.circuit, files.settings)


def srs(files):
    path, rows = files.srs
    if not path.exists():
        ezkl.gen_srs(path, rows)
    return True


def setup(files):
    return ezkl.setup(files.circuit, files.vk, files.pk, files.srs[0])


def witness(files):
    return bool(ezkl.gen_witness(str(files.input), files.circuit, files.witness))


def prove(files):
    return bool(ezkl.prove(files.witness, files.circuit, files.pk, files.proof, files.srs[0]))


def verify(files):
    return ezkl.verify(files.proof, files.settings, files.vk, files.srs[0])


def peak():
    """Highest resident set of this process, in bytes."""
    return int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024


def sizes(files, stage):
    """What a stage wrote, as far as one asks for it."""
    if stage == "calibrate":
        arguments = json.loads(files.settings.read_text())["run_args"]
        return {key: arguments[key] for key in ("logrows", "input_scale", "param_scale")}
    if stage == "setup":
        return {"pk_bytes": files.pk.stat().st_size, "vk_bytes": files.vk.stat().st_size}
    if stage == "prove":
        proof = json.loads(files.proof.read_text())["proof"]
        length = len(proof) if isinstance(proof, list) else len(proof.removeprefix("0x")) // 2
        return {"proof_bytes": length}
    return {}


def run_stage(folder, name, stage):
    """Runs one stage in this process and prints its line."""
    files = Files(folder, name)
    start = time.perf_counter()
    accepted = globals()[stage](files)
    seconds = time.perf_counter() - start
    if not accepted:
        raise SystemExit(f"{stage} returned {accepted}")
    row = {"network": name, "stage": stage, "seconds": round(seconds, 3), "peak_bytes": peak()}
    print(json.dumps({**row, **sizes(files, stage)}))


def run_network(folder, name):
    """Runs all stages, each in a process of its own; returns whether all of them succeeded."""
    rows = {}
    for stage in STAGES:
        command = [sys.executable, __file__, str(folder), name, "--stage", stage]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            print(json.dumps({"network": name, "stage": stage, "error": last}), flush=True)
            return False
        line = done.stdout.strip().splitlines()[-1]
        print(line, flush=True)
        rows[stage] = json.loads(line)
    total = {
        "network": name,
        "stage": "total",
        "ezkl": ezkl.__version__,
        "prove_seconds": rows["prove"]["seconds"],
        "key_seconds": rows["setup"]["seconds"],
        "peak_bytes": max(row["peak_bytes"] for row in rows.values()),
        "proof_bytes": rows["prove"]["proof_bytes"],
    }
    print(json.dumps(total), flush=True)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where make.py wrote")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = options.names or NAMES
    absent = [name for name in names if not (options.folder / f"{name}.onnx").exists()]
    if absent:
        parser.error(f"{', '.join(absent)} not in {options.folder}: write them with make.py")
    if options.stage:
        run_stage(options.folder, names[0], options.stage)
        return
    done = [run_network(options.folder, name) for name in names]
    raise SystemExit(0 if all(done) else 1)


if __name__ == "__main__":
    main()
