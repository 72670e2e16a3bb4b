"""What Ray costs a job on one machine, and what a job costs on paper.

Makes pictures of the FER+ faces (PNG as they are, or JPEG scaled to ``--side``), then runs
``mien predict`` over them with each engine in turn, every run a process tree of its own. Printed
are pictures a second of the whole run, start included, and steady, from the first part to the
last; the ratio of each engine to the local one; the peak memory of the whole tree (the sum of the
processes' own share, PSS, where the system tells it); and the CPU time a picture, start included,
which a busy machine changes less than the rest. The answers must be the same. Usage::

    python benchmarks/jobs.py --pictures 50000 --json jobs.json
    python benchmarks/jobs.py --pictures 50000 --engines ray --kills 3
    python benchmarks/jobs.py --costs jobs.json --price 0.05

``--kills`` runs the last engine once more, kills its process group that often at random places,
resumes it, and compares the rows with those of the undisturbed run.

Pictures and answers lie in ``--workdir`` (``out/jobs``), and pictures are kept for the next run.
Faces that are ready need no detector; ``--detector mien --side 640`` measures photos.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
FERPLUS = ROOT.parent / "shared" / "data" / "ferplus" / "train.parquet"
ENGINES = {
    "local": ["--engine", "local"],
    "ray": ["--engine", "ray"],
    "ray-split": ["--engine", "ray", "--stages", "split"],
}
#: What the paper costs are about: name -> (pictures, which rate).
JOBS = {
    "a million photos": (1_000_000, "photos"),
    "one camera for a year, a picture a second": (31_536_000, "photos"),
    "40 million ready faces, once": (40_000_000, "faces"),
}
MACHINES = {"4 cores": (1, 4), "32 cores": (1, 32), "8 machines of 32 cores": (8, 32)}


def make_pictures(folder: Path, count: int, side: int) -> None:
    """Writes the faces, over and over until there are enough, 5,000 a folder."""
    if len(list(folder.glob("*/*"))) == count:
        return
    shutil.rmtree(folder, ignore_errors=True)
    faces = pq.read_table(FERPLUS, columns=["image"])["image"]
    for index in range(count):
        below = folder / f"{index // 5000:04}"
        below.mkdir(parents=True, exist_ok=True)
        data = faces[index % len(faces)].as_py()["bytes"]
        if side == 48:
            (below / f"{index:07}.png").write_bytes(data)
            continue
        with Image.open(io.BytesIO(data)) as face:
            face.convert("RGB").resize((side, side)).save(below / f"{index:07}.jpg", quality=85)


#: Seconds between two readings of the CPU time of a process tree, and between two at its memory:
#: adding up the pages of Ray's many processes takes a tenth of a second from those who work.
LOOK_S, WEIGH_S = 1.0, 8.0


def note_cpu(process: psutil.Process, cpu_s: dict[int, float]) -> None:
    """Notes the CPU seconds of each process of a tree."""
    for each in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            times = each.cpu_times()
            cpu_s[each.pid] = times.user + times.system


def weigh(process: psutil.Process) -> int:
    """Returns the bytes of a process tree; shared pages count once where the system says so."""
    total = 0
    for each in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            info = each.memory_full_info()
            total += getattr(info, "pss", info.rss)
    return total


def steady_rate(output: Path) -> float:
    """Pictures per second from the first part that was written to the last."""
    paths = sorted(output.glob("part-*.parquet"), key=lambda path: path.stat().st_mtime)
    counts = [int(pq.read_metadata(path).metadata[b"mien.pictures"]) for path in paths]
    took = paths[-1].stat().st_mtime - paths[0].stat().st_mtime
    return sum(counts[1:]) / max(took, 1e-9)


def command_of(engine: str, pictures: Path, output: Path, arguments: argparse.Namespace) -> list:
    return [
        sys.executable, "-m", "mien", "predict", str(pictures), "-o", str(output), "-q",
        "--detector", arguments.detector, "--format", "json", "-j", str(arguments.workers),
        "--part-size", str(arguments.part_size), *ENGINES[engine],
    ]  # fmt: skip


def run_killed(engine: str, pictures: Path, output: Path, arguments: argparse.Namespace) -> dict:
    """Runs a job, killing all its processes at random places; returns where, and if rows agree."""
    shutil.rmtree(output, ignore_errors=True)
    command = [*command_of(engine, pictures, output, arguments), "--resume"]
    parts = -(-arguments.pictures // arguments.part_size)
    places = sorted(random.Random(arguments.seed).sample(range(1, parts), arguments.kills))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    killed_at = []
    for place in places:
        process = subprocess.Popen(command, start_new_session=True, **quiet)
        while process.poll() is None and len(list(output.glob("part-*.parquet"))) < place:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        killed_at.append(len(list(output.glob("part-*.parquet"))))
        print(f"killed with {killed_at[-1]} of {parts} parts done", file=sys.stderr, flush=True)
        time.sleep(1)
    subprocess.run(command, check=True, **quiet)
    undisturbed = pq.read_table(output.parent / f"{engine}.parquet")
    return {"killed_at": killed_at, "same_rows": pq.read_table(output).equals(undisturbed)}


def run_once(engine: str, pictures: Path, output: Path, arguments: argparse.Namespace) -> dict:
    shutil.rmtree(output, ignore_errors=True)
    command = command_of(engine, pictures, output, arguments)
    start, peak, weighed = time.perf_counter(), 0, 0.0
    cpu_s: dict[int, float] = {}
    # A file, not a pipe: Ray's processes would keep a pipe open.
    with (output.parent / "stdout.json").open("w+") as stdout:
        process = psutil.Popen(command, stdout=stdout)
        while process.poll() is None:
            note_cpu(process, cpu_s)
            if time.perf_counter() - weighed > WEIGH_S:
                peak, weighed = max(peak, weigh(process)), time.perf_counter()
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(LOOK_S)
        stdout.seek(0)
        answer = stdout.read()
    if process.returncode:
        raise SystemExit(f"{engine} failed: {' '.join(command)}")
    summary = json.loads(answer)
    seconds = time.perf_counter() - start
    return {
        "seconds": round(seconds, 2), "per_s": summary["pictures"] / seconds,
        "steady_per_s": steady_rate(output), "peak_mb": peak / 1e6,
        "cpu_ms": 1000 * sum(cpu_s.values()) / summary["pictures"],
        "failed": summary["failed"], "faces": summary["faces"],
    }  # fmt: skip


def compare(arguments: argparse.Namespace) -> dict:
    pictures = arguments.workdir / f"pictures-{arguments.side}"
    make_pictures(pictures, arguments.pictures, arguments.side)
    runs: dict[str, list[dict]] = {name: [] for name in arguments.engines}
    load = os.getloadavg()
    for _ in range(arguments.rounds):
        for name in arguments.engines:
            runs[name].append(
                run_once(name, pictures, arguments.workdir / f"{name}.parquet", arguments)
            )
            print(f"{name}: {runs[name][-1]}", file=sys.stderr, flush=True)
    columns = ["source", "emotion", "width"]
    tables = [
        pq.read_table(arguments.workdir / f"{name}.parquet", columns=columns)
        for name in arguments.engines
    ]
    same = all(table.equals(tables[0]) for table in tables)
    middle = {
        name: {key: statistics.median(run[key] for run in found) for key in found[0]}
        for name, found in runs.items()
    }
    local = middle.get("local")
    ratios = {
        name: {key: middle[name][key] / local[key] for key in ("per_s", "steady_per_s")}
        for name in middle
        if local and name != "local"
    }
    workers = arguments.workers or os.cpu_count() or 1
    killed = {}
    if arguments.kills:
        name = arguments.engines[-1]
        output = arguments.workdir / f"{name}-killed.parquet"
        killed = {"killed": {"engine": name, **run_killed(name, pictures, output, arguments)}}
    return {
        "pictures": arguments.pictures, "side": arguments.side, "detector": arguments.detector,
        "workers": workers, "cores": os.cpu_count(), "rounds": arguments.rounds,
        "load_before": [round(value, 1) for value in load], "same_answers": same,
        "engines": middle, "ratio_to_local": ratios,
        "per_s_and_core": {name: found["steady_per_s"] / workers for name, found in middle.items()},
        **killed,
    }  # fmt: skip


def print_comparison(report: dict) -> None:
    print(
        f"{report['pictures']:,} pictures of {report['side']} px, detector {report['detector']}, "
        f"{report['workers']} workers, load before {report['load_before']}"
    )
    print(
        f"{'engine':<10} {'whole run':>12} {'steady':>12} {'peak memory':>12} {'CPU each':>11}"
        "   of local"
    )
    for name, found in report["engines"].items():
        ratio = report["ratio_to_local"].get(name)
        shares = f"{ratio['per_s']:.2f} / {ratio['steady_per_s']:.2f}" if ratio else ""
        print(
            f"{name:<10} {found['per_s']:>10.1f}/s {found['steady_per_s']:>10.1f}/s "
            f"{found['peak_mb']:>9.0f} MB {found['cpu_ms']:>8.2f} ms   {shares}"
        )
    print("the answers are the same" if report["same_answers"] else "THE ANSWERS DIFFER")
    if "killed" in report:
        said = "the same rows" if report["killed"]["same_rows"] else "OTHER ROWS"
        print(f"killed after {report['killed']['killed_at']} parts and resumed: {said}")


def print_costs(reports: list[dict], arguments: argparse.Namespace) -> None:
    """Prints hours and money: pictures / (rate a core x cores x efficiency)."""
    price, efficiency = arguments.price, arguments.efficiency
    rates = {
        "faces" if report["detector"] == "none" else "photos": report["per_s_and_core"]["local"]
        for report in reports
    }
    print(f"rates a core: {rates}; price of a core and hour: {price} (an example)")
    for name, (pictures, kind) in JOBS.items():
        if kind not in rates:
            print(f"{name}: needs a report with{'out' if kind == 'faces' else ''} a detector")
            continue
        for machine, (count, cores) in MACHINES.items():
            share = efficiency if count > 1 else 1.0
            hours = pictures / (rates[kind] * count * cores * share) / 3600
            print(f"{name}, {machine}: {hours:,.1f} h, {hours * count * cores * price:,.2f}")

    if arguments.train_per_s:
        hours = 40e6 * arguments.epochs / arguments.train_per_s / 3600
        for devices in (1, 8):
            share = efficiency if devices > 1 else 1.0
            cost = hours / share * arguments.train_price
            print(
                f"training on 40 million faces, {arguments.epochs} epochs, {devices} device(s): "
                f"{hours / devices / share:,.1f} h, {cost:,.2f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=50_000)
    parser.add_argument("--side", type=int, default=48)
    parser.add_argument("--detector", default="none")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--part-size", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=["local", "ray"])
    parser.add_argument("--kills", type=int, default=0, help="of one more run")
    parser.add_argument("--seed", type=int, default=0, help="of the places of the kills")
    parser.add_argument("--workdir", type=Path, default=ROOT / "out" / "jobs")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--costs", type=Path, nargs="+", help="reports to compute costs from")
    parser.add_argument("--price", type=float, default=0.05, help="of a core and hour")
    parser.add_argument("--train-per-s", type=float, help="faces a second of one training device")
    parser.add_argument("--train-price", type=float, default=3.0, help="of a device and hour")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--efficiency", type=float, default=0.85, help="of several machines")
    arguments = parser.parse_args()
    if arguments.costs:
        reports = [json.loads(path.read_text()) for path in arguments.costs]
        print_costs(reports, arguments)
        return
    arguments.workdir.mkdir(parents=True, exist_ok=True)
    report = compare(arguments)
    print_comparison(report)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
