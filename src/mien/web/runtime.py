"""ONNX Runtime Web, the engine of the page: taken from npm, or from a copy that is here already."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from mien.errors import MienError, ModelError
from mien.hub import sha256

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
MODULE = "ort.wasm.bundle.min.mjs"
BINARY = "ort-wasm-simd-threaded.wasm"
#: The two files that a page needs of it, and their sha256.
FILES = {
    MODULE: "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    BINARY: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
#: Under which names they go: some hosts do not know the suffix .mjs and serve no script by it.
PLACED = {MODULE: MODULE.replace(".mjs", ".js"), BINARY: BINARY}
_SPEC = f"{PACKAGE}@{VERSION}"
_PATIENCE_S = 600


def place_runtime(folder: Path, source: Path | None = None) -> None:
    """Puts the engine's files into a folder, from ``source`` or else fetched by npm.

    ``source`` is an unpacked package, its ``dist``, a folder in which ``npm install`` was run, or
    the file that ``npm pack`` wrote.
    """
    if source is None:
        with tempfile.TemporaryDirectory() as place:
            _unpack(_fetch(Path(place)), folder)
    elif source.is_file():
        _unpack(source, folder)
    else:
        for name in FILES:
            shutil.copyfile(_find(source, name), folder / PLACED[name])
    for name, expected in FILES.items():
        found = sha256(folder / PLACED[name])
        if found != expected:
            raise ModelError(
                f"is not that of {_SPEC}, or was changed: its sha256 is {found[:16]}…, expected "
                f"{expected[:16]}…",
                subject=PLACED[name],
                hint=f"Leave --runtime out, or type: npm pack {_SPEC}",
            )


def _fetch(place: Path) -> Path:
    """Lets npm fetch the package into a folder; returns the file."""
    npm = shutil.which("npm")
    elsewhere = f"Fetch it where there is one with npm pack {_SPEC}, and type --runtime FILE."
    if npm is None:
        raise MienError(
            f"the page runs on {PACKAGE}, which comes from npm, and there is no npm here. Install "
            f"Node.js, which brings it. {elsewhere}"
        )
    command = [npm, "pack", _SPEC, "--silent", "--fetch-retries=1", f"--pack-destination={place}"]
    try:
        done = subprocess.run(  # noqa: S603 - npm by its full path, with fixed arguments
            command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MienError(f"npm did not fetch {_SPEC}: {error}. {elsewhere}") from error
    packed = list(place.glob("*.tgz"))
    if done.returncode or not packed:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        reason = lines[0] if lines else f"it ended with {done.returncode} and said nothing"
        raise MienError(
            f"npm did not fetch {_SPEC} ({reason.strip()}): is this machine online? {elsewhere}"
        )
    return packed[0]


def _unpack(packed: Path, folder: Path) -> None:
    """Takes the files out of npm's archive, and nothing else."""
    try:
        with tarfile.open(packed) as archive:
            for name in FILES:
                stream = archive.extractfile(f"package/dist/{name}") or io.BytesIO()
                with stream, (folder / PLACED[name]).open("wb") as target:
                    shutil.copyfileobj(stream, target)
    except (KeyError, tarfile.TarError, OSError, EOFError) as error:
        raise ModelError(
            f"is no package of {PACKAGE} ({error})", subject=packed, hint=f"Type: npm pack {_SPEC}"
        ) from error


def _find(source: Path, name: str) -> Path:
    for below in ("", "dist", "package/dist", f"{PACKAGE}/dist", f"node_modules/{PACKAGE}/dist"):
        if (source / below / name).is_file():
            return source / below / name
    reason = f"holds no {name}, neither itself nor in dist or node_modules/{PACKAGE}/dist"
    raise ModelError(reason, subject=source, hint=f"Type: npm install {_SPEC}")
