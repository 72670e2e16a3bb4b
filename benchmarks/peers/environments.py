"""One environment a peer, made by uv, and how much room it takes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def make_environment(folder: Path, requirements: list[str]) -> Path:
    """Makes a virtual environment unless it is there, installs into it, returns its Python."""
    uv = shutil.which("uv")
    python = folder / "bin" / "python"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if uv:
        if not python.exists():
            run([uv, "venv", "-q", "--python", version, str(folder)])
        run([uv, "pip", "install", "-q", "--python", str(python), *requirements])
    else:
        run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
        run([sys.executable, "-m", "pip", "--python", str(python), "install", "-q", *requirements])
    return python


def build_wheel(root: Path, folder: Path) -> Path:
    """Builds mien's wheel from the tree."""
    uv = shutil.which("uv")
    if uv:
        run([uv, "build", "-q", "--wheel", "--out-dir", str(folder), str(root)])
    else:
        run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(root)])
    return max(folder.glob("mien-*.whl"), key=lambda path: path.stat().st_mtime)


def sizes(python: Path, optional: list[str]) -> dict[str, float]:
    """Returns the room an environment takes in 10^6 bytes, whole and without optional packages."""
    root = python.parent.parent
    whole = _bytes(root)
    packages = next(root.glob("lib/python*/site-packages"), root)
    without = whole - sum(_bytes(packages / name) for name in optional)
    return {"disk_mb": whole / 1e6, "disk_mb_without_optional": without / 1e6}


def versions(python: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Returns the versions of those packages that are installed, asked from inside."""
    program = (
        "import importlib.metadata as m, json, sys\n"
        "found = {d.metadata['Name'].lower(): d.version for d in m.distributions()}\n"
        "print(json.dumps({n: found[n] for n in sys.argv[1:] if n in found}))"
    )
    answer: dict[str, Any] = json.loads(run([str(python), "-c", program, *names]))
    return answer


def run(command: list[str], **options: Any) -> str:
    """Runs a command; what it printed, or an error with the end of what it complained of."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        end = "\n".join(done.stderr.strip().splitlines()[-12:])
        raise SystemExit(f"{' '.join(command)[:200]} failed ({done.returncode}):\n{end}")
    return done.stdout


def _bytes(path: Path) -> int:
    """Adds files up, without the bytecode that running a tool leaves."""
    files = (entry for entry in path.rglob("*") if entry.is_file() and not entry.is_symlink())
    return sum(entry.stat().st_size for entry in files if entry.suffix != ".pyc")
