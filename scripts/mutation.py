"""Says whether the quick tests notice a fault: ``python scripts/mutation.py``.

Mutants are copies of a module with one operator, number, condition or decorator changed (by
Cosmic Ray's operators), drawn by a seed: each place once before any place twice. A mutant is
killed when a test of the module fails or hangs. The source is changed in a temporary copy only.

    python scripts/mutation.py                            60 mutants of each module
    python scripts/mutation.py --module labels --count 20
    python scripts/mutation.py --only-survivors           again what survived the last run
    python scripts/mutation.py --faults                   one deliberate fault in each module

It ends with 1 where under 85 % of a module's mutants are killed, or a fault goes unnoticed.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import importlib
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mutation_cases import AREAS, EQUIVALENT, FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mutation_cases import Area

ROOT = Path(__file__).resolve().parent.parent
WANTED = 0.85
#: Imported once, before the tests of each mutant start in a fork.
PRELOADED = (
    *("numpy", "PIL.Image", "onnxruntime", "pytest", "hypothesis", "filelock", "yaml"),
    *("scipy.optimize", "sklearn.metrics", "pandas", "torch", "typer", "rich.console"),
    *("hypothesis.strategies", "hypothesis.internal.conjecture.engine", "numpy.testing"),
)
PYTEST = (
    *("-x", "-q", "-p", "no:cacheprovider", "-o", "addopts=", "--import-mode=importlib"),
    "--strict-markers",
)


class Mutant(NamedTuple):
    """One change: the text of the whole file after it, and the lines that differ."""

    file: str
    line: int
    operator: str
    before: str
    after: str
    source: str

    def shown(self) -> str:
        """Returns the place and the difference."""
        return f"{self.file}:{self.line}  {self.operator}\n    - {self.before}\n    + {self.after}"


def places(source: str) -> list[tuple[str, int, tuple[int, int]]]:
    """Returns operator, occurrence and (line, column) of each possible change."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    nodes, skipped = list(ast_nodes(get_ast(source))), list(_skipped(ast.parse(source)))
    found = []
    for name in operator_names():
        if name.endswith(("VariableReplacer", "VariableInserter")):
            continue  # these two need to be told a variable
        operator, count = get_operator(name)(), 0
        for node in nodes:
            for start, _ in operator.mutation_positions(node):
                if not any(low <= start < high for low, high in skipped):
                    found.append((name, count, start))
                count += 1
    return found


def _skipped(tree: ast.Module) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yields the spans of annotations, docstrings and what only type checkers read."""
    for node in ast.walk(tree):
        parts: list[Any] = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            parts.append(node)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            parts.append(node)
        for part in filter(None, parts):
            yield (part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)


def mutants_of(area: Area, count: int, seed: int) -> list[Mutant]:
    """Draws mutants of an area's files that compile, less those that are known to be none."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    sources = {file: (ROOT / "src/mien" / file).read_text(encoding="utf-8") for file in area.files}
    drawn = [(file, *place) for file, source in sources.items() for place in places(source)]
    random.Random(seed).shuffle(drawn)  # noqa: S311 - a sample, no secret
    turns: Counter[tuple[str, tuple[int, int]]] = Counter()
    ordered = []
    for file, name, occurrence, start in drawn:
        ordered.append((turns[file, start], file, name, occurrence))
        turns[file, start] += 1
    found: list[Mutant] = []
    for _, file, name, occurrence in sorted(ordered, key=lambda each: each[0]):
        text = mutate_code(sources[file], get_operator(name)(), occurrence)
        mutant = _mutant(file, name, sources[file], text) if text else None
        if mutant:
            found.append(mutant)
        if len(found) == count:
            break
    return [each for each in found if (each.file, each.before, each.after) not in EQUIVALENT]


def _mutant(file: str, name: str, source: str, text: str) -> Mutant | None:
    try:
        if ast.dump(ast.parse(text)) == ast.dump(ast.parse(source)):
            return None
        compile(text, file, "exec")
    except SyntaxError:
        return None
    old, new = source.splitlines(), text.splitlines()
    matched = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    _, low, high, new_low, new_high = next(code for code in matched if code[0] != "equal")
    before, after = (
        " / ".join(line.strip() for line in lines)
        for lines in (old[low:high], new[new_low:new_high])
    )
    return Mutant(file, low + 1, name.removeprefix("core/"), before, after, text)


class Trial(NamedTuple):
    """A changed tree whose tests run: process, place in the list, slot, and when it must end."""

    pid: int
    index: int
    slot: Path
    until: float


class Trees:
    """Copies of the source, one for each process, and the tests that run in forks on them."""

    def __init__(self, folder: Path, slots: int) -> None:
        self._slots = [folder / f"slot{number}" for number in range(slots)]
        for slot in self._slots:
            shutil.copytree(ROOT / "src", slot / "src")
        os.environ |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "HYPOTHESIS_PROFILE": "mutation"}
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        for name in PRELOADED:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        import pytest

        with contextlib.redirect_stdout(io.StringIO()):  # loads pytest's own modules
            pytest.main(["-q", "-c", os.devnull, f"--rootdir={folder}", str(folder)])

    def run(
        self, changes: list[tuple[str, str]], tests: tuple[str, ...], timeout_s: float
    ) -> list[bool]:
        """Returns for each (file, text) whether the tests pass."""
        passed = [False] * len(changes)
        free, running, waiting = list(self._slots), list[Trial](), list(range(len(changes)))
        while waiting or running:
            while waiting and free:
                index, slot = waiting.pop(0), free.pop()
                self._put(slot, *changes[index])
                running.append(Trial(_fork(slot, tests), index, slot, time.monotonic() + timeout_s))
            time.sleep(0.02)
            for trial in list(running):
                pid, status = os.waitpid(trial.pid, os.WNOHANG)
                late = not pid and time.monotonic() > trial.until
                if late:
                    os.killpg(trial.pid, signal.SIGKILL)
                    os.waitpid(trial.pid, 0)
                if pid or late:
                    passed[trial.index] = bool(pid) and status == 0
                    self._put(trial.slot, changes[trial.index][0], None)
                    running.remove(trial)
                    free.append(trial.slot)
        return passed

    @staticmethod
    def _put(slot: Path, file: str, text: str | None) -> None:
        """Writes a file of the copy; None puts the original back."""
        path = slot / "src/mien" / file
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            compiled.unlink()
        original = (ROOT / "src/mien" / file).read_text(encoding="utf-8")
        path.write_text(original if text is None else text, encoding="utf-8")


def _fork(slot: Path, tests: tuple[str, ...]) -> int:
    """Starts the tests on a copy of the source; the exit status is 0 where all pass."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        log = os.open(slot / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(ROOT)
        os.environ["PYTHONPATH"] = str(slot / "src")
        sys.path[:0] = [str(slot / "src")]
        import pytest

        code = int(pytest.main([*PYTEST, f"--basetemp={slot / 'tmp'}", *map(_below, tests)]))
    finally:
        os._exit(code)


def _below(test: str) -> str:
    return str(ROOT / "tests/unit" / test)


def check(trees: Trees, area: Area) -> float:
    """Runs the tests of an area on the source as it is; returns the seconds that they take."""
    start = time.monotonic()
    original = (ROOT / "src/mien" / area.files[0]).read_text(encoding="utf-8")
    if not trees.run([(area.files[0], original)], area.tests, 600)[0]:
        raise SystemExit(f"error: the tests of {area.name} fail on the source as it is")
    return time.monotonic() - start


def run_mutants(trees: Trees, areas: list[Area], args: argparse.Namespace) -> bool:
    """Prints a row per module, then the survivors; says whether every share is reached."""
    state: dict[str, Any] = json.loads(args.state.read_text()) if args.state.is_file() else {}
    print(f"seed {args.seed}\n\n| module | mutants | killed | survived | share |")
    print("|---|---|---|---|---|", flush=True)
    survivors: list[Mutant] = []
    reached = True
    for area in areas:
        mutants = mutants_of(area, args.count, args.seed)
        known = state.get(area.name, {}).get("survived", [])
        tried = mutants
        if args.only_survivors:
            tried = [mutant for mutant in mutants if list(mutant[:5]) in known]
        limit = 15 + 5 * check(trees, area)
        passed = trees.run([(each.file, each.source) for each in tried], area.tests, limit)
        left = [mutant for mutant, ok in zip(tried, passed, strict=True) if ok]
        share = 1 - len(left) / len(mutants)
        reached = reached and share >= WANTED
        killed = len(mutants) - len(left)
        print(
            f"| {area.name} | {len(mutants)} | {killed} | {len(left)} | {share:.0%} |", flush=True
        )
        survivors += left
        state[area.name] = {"survived": [list(mutant[:5]) for mutant in left]}
        args.state.write_text(json.dumps(state, indent=1))
    for mutant in survivors:
        print(f"\n{mutant.shown()}")
    return reached


def run_faults(trees: Trees, areas: list[Area]) -> bool:
    """Prints for each deliberate fault whether a test turns red; says whether all do."""
    noticed = True
    for area in areas:
        file, old, new = FAULTS[area.name]
        source = (ROOT / "src/mien" / file).read_text(encoding="utf-8")
        if source.count(old) != 1:
            raise SystemExit(f"error: {file} holds {source.count(old)} times: {old}")
        check(trees, area)
        survived = trees.run([(file, source.replace(old, new))], area.tests, 120)[0]
        noticed = noticed and not survived
        print(f"{'MISSED' if survived else 'noticed'}  {area.name}: {new}", flush=True)
    return noticed


def main() -> int:
    """Reads the flags and runs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    names = [area.name for area in AREAS]
    parser.add_argument("--module", action="append", choices=names, help="only this; repeat it")
    parser.add_argument("--count", type=int, default=60, help="mutants of each module")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tests", nargs="+", help="below tests/unit")
    parser.add_argument("--faults", action="store_true", help="deliberate faults, no mutants")
    parser.add_argument("--only-survivors", action="store_true", help="those of the last run")
    parser.add_argument("--state", type=Path, default=ROOT / ".mutation.json")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    areas = [area for area in AREAS if not args.module or area.name in args.module]
    if args.tests:
        areas = [area._replace(tests=tuple(args.tests)) for area in areas]
    with tempfile.TemporaryDirectory(prefix="mien-mutation-") as folder:
        trees = Trees(Path(folder), args.processes)
        done = run_faults(trees, areas) if args.faults else run_mutants(trees, areas, args)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
