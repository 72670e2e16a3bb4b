"""The machine that figures were measured on, in words."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import Any

#: What a CPU calls its instructions for sums of products, and what people call them.
_INSTRUCTIONS = {
    "avx2": "AVX2", "avx512f": "AVX-512", "avx512_vnni": "VNNI", "avx_vnni": "VNNI",
    "avx512_bf16": "BF16", "amx_tile": "AMX", "amx_int8": "AMX", "asimd": "NEON",
    "asimddp": "dot product", "i8mm": "I8MM",
}  # fmt: skip
_PACKAGES = ("mien", "onnxruntime", "numpy", "Pillow")


def describe_machine() -> dict[str, Any]:
    """Returns what there is to know of this machine and the versions that run on it.

    ``cores`` are those that this process may use, ``load`` is the average of the last minute, 1.0
    per busy core; None is what the system does not tell.
    """
    facts = _cpu_facts()
    return {
        "cpu": facts.get("model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1,
        "instructions": _instructions(facts),
        "memory_gb": _memory_gb(),
        "os": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: version_of(name) for name in _PACKAGES},
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def machine_line(machine: dict[str, Any]) -> str:
    """Returns a machine as one sentence."""
    instructions = machine["instructions"]
    known = "instructions unknown" if instructions is None else " ".join(instructions)
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    memory = "" if machine["memory_gb"] is None else f", {machine['memory_gb']:g} GB"
    load = "" if machine["load"] is None else f" Load average at the start: {machine['load']}."
    return (
        f"{machine['cpu']}, {machine['cores']} cores ({known}){memory}; {machine['os']}; "
        f"Python {machine['python']}, {packages}.{load}"
    )


def _cpu_facts() -> dict[str, str]:
    """Returns the first core's lines of ``/proc/cpuinfo``; nothing where there is none."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def _instructions(facts: dict[str, str]) -> list[str] | None:
    flags = facts.get("flags") or facts.get("Features")
    if flags is None:
        return None
    words = flags.split()
    return list(dict.fromkeys(name for flag, name in _INSTRUCTIONS.items() if flag in words))


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, OSError, ValueError):
        return None


def version_of(package: str) -> str | None:
    """Returns which version of a package is installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
