"""A folder that the Hugging Face Hub runs as a Space: the page of :mod:`mien.demo`, hosted.

The folder holds the package itself, and ``requirements.txt`` only what it needs of others. So a
Space builds whether or not this version is on PyPI; a wheel in the folder would not do, since the
Hub installs the requirements before the other files of the Space are there.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from mien.atomic import check_free, replacing_folder
from mien.benchmarking.machine import version_of
from mien.demo.config import DemoConfig
from mien.errors import ConfigError, MissingExtraError
from mien.hub import ASSETS, CARD, ModelFolder, read_model_folder

if TYPE_CHECKING:
    import os

#: Gradio and Python that a Space gets where no Gradio is installed to look at.
GRADIO, PYTHON = "6.31.0", "3.11"
#: Folders of a Space: its own models, and the package.
_MODELS, _PACKAGE = "models", "mien"
_EXTRA = "demo"
_MARKER = re.compile(rf"extra == ['\"]{_EXTRA}['\"]")

_HOME = "https://pypi.org/project/mien/"
_APP = '''\
"""The page of mien as a Hugging Face Space."""

import os

from mien.demo import DemoConfig, run_demo

port = int(os.environ.get("GRADIO_SERVER_PORT", "7860"))
run_demo(DemoConfig({model}host="0.0.0.0", port=port, max_mb={mb:g}, max_seconds={seconds:g}))
'''


def write_space(
    folder: str | os.PathLike[str],
    *,
    config: DemoConfig | None = None,
    title: str = "What does a face look like?",
    overwrite: bool = False,
) -> Path:
    """Writes a Space: the page's program, this package, what it needs, a photo, models.

    The folder appears whole or not at all. Replacing one keeps what is not mien's, for example the
    ``.git`` of a clone.

    Args:
        folder: Where to; it is made.
        config: Models, which are copied into the folder, and the limits; None: the defaults.
        title: Title of the page on the Hub.
        overwrite: Replace the files of a Space that is there.

    Returns:
        The folder.

    Raises:
        ConfigError: If the folder is in use, holds something else, or the title is no line.
        ModelError: If a model is damaged.
        MissingExtraError: If this package is not installed, so that nobody knows what it needs.
    """
    from mien.hub.remote import pushed_files

    place, config = Path(folder), config or DemoConfig()
    if not title.strip() or not title.isprintable() or any(sign in title for sign in "\"':#\\"):
        raise ConfigError(f"title must be a line without quotes, colons or #; got {title!r}.")
    _check_place(place, overwrite=overwrite)
    models = {name: read_model_folder(path) for name, path in config.models.items()}
    with replacing_folder(place) as new:
        if place.is_dir():
            shutil.copytree(place, new, symlinks=True, dirs_exist_ok=True)
            for part in (_MODELS, _PACKAGE):
                shutil.rmtree(new / part, ignore_errors=True)
        for name, text in _texts(config, title, models).items():
            (new / name).write_text(text, encoding="utf-8")
        shutil.copyfile(ASSETS / "sample" / "astronaut.jpg", new / "sample.jpg")
        caches = shutil.ignore_patterns("__pycache__")
        shutil.copytree(Path(__file__).parents[1], new / _PACKAGE, ignore=caches)
        for name, model in models.items():
            for file in pushed_files(model):
                target = new / _MODELS / name / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(model.path / file, target)
    return place


def _check_place(place: Path, *, overwrite: bool) -> None:
    empty = place.is_dir() and not any(place.iterdir())
    check_free(place, overwrite=overwrite or empty)
    if not place.exists() or empty:
        return
    card = place / CARD
    if not card.is_file() or "\nsdk: " not in card.read_text(encoding="utf-8", errors="replace"):
        raise ConfigError(
            "is in use, and not by a Space (its README.md names no sdk): give another folder",
            subject=place,
        )


def _texts(config: DemoConfig, title: str, models: dict[str, ModelFolder]) -> dict[str, str]:
    readme = Path(__file__).with_name("templates") / "space.md"
    values = {"title": title, "gradio": version_of("gradio") or GRADIO, "python": PYTHON}
    given = "".join(f'"{name}={_MODELS}/{name}", ' for name in models)
    return {
        "README.md": readme.read_text(encoding="utf-8").format(**values, home=_HOME),
        "app.py": _APP.format(
            model=f"model=({given}), " if models else "", mb=config.max_mb,
            seconds=config.max_seconds,
        ),
        "requirements.txt": "".join(f"{name}\n" for name in _requirements()),
    }  # fmt: skip


def _requirements() -> list[str]:
    """Returns what the package and its ``demo`` extra need, as pip reads it."""
    try:
        given = importlib.metadata.requires(_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingExtraError("a Space", _EXTRA, _PACKAGE) from error
    found = [re.split(r"\s*;\s*", line, maxsplit=1) for line in given]
    wanted = [
        name for name, *marker in found if not marker or re.search(_MARKER, marker[0])
    ]  # fmt: skip
    return sorted(set(wanted))
