"""Measures every promise of ``docs/service.md`` that has a figure, one after the other.

Six minutes on two cores that nothing else uses; on others speeds mean nothing. Prints what each
command says, and in the end which promises were kept; exit code 1 if one was broken.

Usage: ``python benchmarks/load/promises.py [WORD...]``; with words, those of whose command one is a
part.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: What is promised -> the command that measures it, as the page has it.
PROMISES = {
    "slow clients and photos": "benchmarks/load/stalled.py --seconds 8 --width 320 --pause 5",
    "slow clients and crops": (
        "benchmarks/load/stalled.py --seconds 8 --width 160 --pause 1 -- --detector none"
    ),
    "hostile inputs": "benchmarks/load/random_bodies.py --count 10000",
    "warm start, several models": "benchmarks/load/start.py mienet_s.ferplus8 mienet_s.faces8",
    "throughput": (
        "benchmarks/serve_throughput.py src/mien/assets/sample/astronaut.jpg --rounds 2 --seconds 2"
    ),
    "steady load": "benchmarks/load/run.py --profile steady --users 50 --seconds 90",
    "overload": "benchmarks/load/overload.py --seconds 10",
    "hostile users between good ones": (
        "benchmarks/load/run.py --profile hostile --users 20 --seconds 15 -- --detector none"
    ),
}


def main() -> int:
    words = sys.argv[1:]
    codes = {}
    for promise, command in PROMISES.items():
        if words and not any(word in command for word in words):
            continue
        print(f"\n== {promise}\npython {command}", flush=True)
        start = time.perf_counter()
        done = subprocess.run([sys.executable, *shlex.split(command)], cwd=ROOT, check=False)
        codes[promise] = done.returncode
        print(f"took {time.perf_counter() - start:.0f} s", flush=True)
    print()
    for promise, code in codes.items():
        print(f"{'BROKEN' if code else 'kept'}: {promise}")
    return int(any(codes.values()))


if __name__ == "__main__":
    sys.exit(main())
