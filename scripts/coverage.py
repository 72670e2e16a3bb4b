"""Prints what a coverage report holds: ``python scripts/coverage.py FILE.json``.

Lines and branches in all, and the ten modules of which least is run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(path: str) -> None:
    """Prints the shares and the list."""
    report = json.loads(Path(path).read_text())
    total = report["totals"]
    lines = total["covered_lines"] / total["num_statements"]
    branches = total["covered_branches"] / total["num_branches"]
    print(f"lines {lines:.1%} of {total['num_statements']:,}")
    print(f"branches {branches:.1%} of {total['num_branches']:,}")
    files = [
        (each["summary"]["percent_covered"], each["summary"]["missing_lines"], name)
        for name, each in report["files"].items()
        if each["summary"]["num_statements"]
    ]
    print("least covered:")
    for percent, missing, name in sorted(files)[:10]:
        print(f"  {percent:5.1f} %  {missing:4d} lines not run  {name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
