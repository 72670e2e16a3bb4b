"""``mien doctor``."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import time
from typing import Any

from mien import __version__
from mien.benchmarking.machine import version_of
from mien.cli import flags
from mien.cli.printing import failed, print_result
from mien.errors import MienError

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:.*extra == ['\"]([\w-]+)['\"])?")
#: Extras that are sums of others, or for those who work on mien itself.
_OF_NO_USE = {"all", "dev", "docs", "test"}


def _requirements() -> dict[str, list[str]]:
    """Returns what mien's own metadata asks for, by extra; "" holds the base."""
    found: dict[str, list[str]] = {"": []}
    try:
        lines = importlib.metadata.requires("mien") or []
    except importlib.metadata.PackageNotFoundError:
        return found
    for line in lines:
        match = _REQUIREMENT.match(line)
        if match and match[1] != "mien":
            found.setdefault(match[2] or "", []).append(match[1])
    return found


def _self_test() -> dict[str, Any]:
    """Verifies the bundled files and answers the bundled photo."""
    from mien.cli.sources import SAMPLE
    from mien.hub import bundled_models, read_model_folder
    from mien.recognizer import EmotionRecognizer
    from mien.results.wording import percent

    try:
        for name in bundled_models():
            folder = read_model_folder(name)
            for file in folder.config.files:
                folder.file(file)
        start = time.perf_counter()
        result = EmotionRecognizer().predict(SAMPLE)
        seconds = time.perf_counter() - start
    except MienError as error:
        return {"ok": False, "error": str(error)}
    faces = [f"{face.emotion} {percent(face.confidence)}" for face in result.faces]
    return {"ok": len(faces) == 1, "faces": faces, "seconds": round(seconds, 3),
            "detector": result.detector, "model": result.model}  # fmt: skip


def command(
    format: flags.Print = flags.Format.table,  # noqa: A002 - the flag is --format
) -> None:
    """Check the installation and say what is missing. Exit code 1: mien cannot answer."""
    test = _self_test()
    extras = _requirements()
    base = extras.pop("")
    extras = {extra: names for extra, names in extras.items() if extra not in _OF_NO_USE}
    report = {
        "mien": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "packages": {name: version_of(name) for name in base},
        "extras": {
            extra: [name for name in names if version_of(name) is None]
            for extra, names in extras.items()
        },
        "self_test": test,
    }
    print_result(report, format, lambda: _print(report))
    if not test["ok"]:
        raise failed("the self-test failed")


def _print(report: dict[str, Any]) -> None:
    head = f"mien {report['mien']}, Python {report['python']}, {report['platform']}"
    print(f"{head}, {report['cores']} cores")
    for name, version in report["packages"].items():
        print(f"  {name:<24} {version or 'MISSING'}")
    print("extras")
    for extra, missing in report["extras"].items():
        advice = f'missing {", ".join(missing)}: pip install "mien[{extra}]"'
        print(f"  {extra:<24} {advice if missing else 'installed'}")
    test = report["self_test"]
    if test["ok"]:
        print(
            f"self-test: {test['model']} with {test['detector']} read the bundled photo as "
            f"{test['faces'][0]} in {test['seconds']} s"
        )
    else:
        print(f"self-test FAILED: {test.get('error') or test.get('faces')}")
