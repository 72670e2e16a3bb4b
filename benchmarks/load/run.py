"""Runs a load profile against a server started here, and writes an HTML report.

Usage: ``python benchmarks/load/run.py --profile steady --users 50 --seconds 300 --photo PHOTO``.
Exit code 1 if an answer was none of those that may be.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from report import read_history, write_report
from service import SAMPLE, running

HERE = Path(__file__).parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", choices=("steady", "burst", "mixed", "hostile"), required=True)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=60, help="at most 900")
    parser.add_argument("--photo", type=Path, default=SAMPLE)
    parser.add_argument("--report", type=Path, default=None)
    parser.add_argument("serve", nargs="*", help="flags of mien serve, after --")
    given = parser.parse_args()
    seconds = min(given.seconds, 900)
    limits = ["--max-body-mb", "2"] if given.profile == "hostile" else []
    with tempfile.TemporaryDirectory() as folder, running(*limits, *given.serve) as service:
        prefix = Path(folder) / "locust"
        command = [
            sys.executable, "-m", "locust", "-f", str(HERE / "locustfile.py"), "--headless",
            "--host", service.url, "-u", str(given.users), "-r", str(given.users),
            "-t", f"{seconds}s", "--csv", str(prefix), "--csv-full-history", "--only-summary",
            "--exit-code-on-error", "0", "--loglevel", "WARNING", given.profile.capitalize(),
        ]  # fmt: skip
        environment = {**os.environ, "MIEN_LOAD_PHOTO": str(given.photo.resolve())}
        subprocess.run(command, env=environment, check=True, timeout=seconds + 120)
        with Path(f"{prefix}_stats.csv").open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        history = read_history(Path(f"{prefix}_stats_history.csv"))
        code = service.stop()
    total = rows[-1]
    failures, requests = int(total["Failure Count"]), int(total["Request Count"])
    # Percentiles of what was accepted; with several kinds of requests, those of all together.
    accepted = [row for row in rows[:-1] if not row["Name"].startswith("503")]
    refused = requests - sum(int(row["Request Count"]) for row in accepted)
    one = accepted[0] if len(accepted) == 1 else total
    p50, p99 = float(one["50%"]), float(one["99%"])
    first, last = service.memory_at(min(60, seconds / 2)), service.memory_at(seconds)
    figures = {
        "profile": given.profile, "users": given.users, "seconds": seconds,
        "requests": requests, "answers that may not be": failures,
        "deliberate 503": refused,
        "requests per second": f"{float(total['Requests/s']):.1f}",
        "p50 ms": p50, "p99 ms": p99, "p99 / p50": f"{p99 / max(p50, 1):.2f}",
        "memory MB at one minute": f"{first:.0f}", "memory MB at the end": f"{last:.0f}",
        "growth": f"{last / first - 1:+.1%}", "exit code of the server": code,
    }  # fmt: skip
    report = given.report or Path(f"out/load-{given.profile}.html")
    report.parent.mkdir(parents=True, exist_ok=True)
    title = f"mien serve: {given.profile}, {given.users} users"
    write_report(
        report, title=title, history=history, memory=service.memory_mb, figures=figures, rows=rows
    )
    for name, value in figures.items():
        print(f"{name}: {value}")
    print(f"report: {report}")
    return 1 if failures or code else 0


if __name__ == "__main__":
    sys.exit(main())
