"""Code of the user's own: modules that register things, and objects named ``module:name``.

Networks, detectors, dataset readers and explanation methods are registered by modules. Such a
module is imported by hand, by ``--import``, or by the entry-point group ``mien.plugins`` of an
installed package, which is read when a name is unknown. Optimisers, schedules, losses,
augmentations, loggers and callbacks are named where they are used, as ``module:name``.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import ConfigError, suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: Entry points that packages name their modules under.
GROUP = "mien.plugins"


def import_plugins(names: Iterable[str]) -> None:
    """Imports modules, or files that end in ``.py``, for what they register.

    A module is searched for where Python does, then in the current folder; none is run twice.

    Raises:
        ConfigError: If one is not there, or fails.

    >>> import_plugins(["colorsys"])
    """
    for name in names:
        path = Path(name)
        if path.suffix != ".py":
            _import(name, "--import")
        elif path.stem not in sys.modules:
            _import_file(path.expanduser().resolve())


def load_object(name: str, key: str) -> Any:
    """Imports what ``module:name`` names.

    Args:
        name: ``module:name``; both may hold dots. Modules are searched for where Python does, then
            in the current folder.
        key: The setting, for messages.

    Raises:
        ConfigError: If there is no such module or name, or the module fails.

    >>> load_object("math:sqrt", "loss")(9.0)
    3.0
    """
    module, colon, attribute = name.partition(":")
    if not (colon and module and attribute):
        raise ConfigError(
            f"{name!r}: name it as module:attribute, as in my_losses:margin", subject=key
        )
    found = _import(module, f"{key} {name!r}:")
    for part in attribute.split("."):
        if not hasattr(found, part):
            known = [word for word in dir(found) if not word.startswith("_")]
            raise ConfigError(f"{key} {name!r}: there is no {part!r} in it." + suggest(part, known))
        found = getattr(found, part)
    return found


@functools.cache
def load_entry_points() -> None:
    """Imports what installed packages offer under ``mien.plugins``, once per process.

    Raises:
        ConfigError: If one of them fails.
    """
    for entry in importlib.metadata.entry_points(group=GROUP):
        _import(entry.value.partition(":")[0], f"entry point {entry.name!r} ({GROUP}):")


def knows(registry: Mapping[str, object], name: str) -> bool:
    """Says whether a registry holds a name, with those of installed plugins if need be."""
    if name not in registry:
        load_entry_points()
    return name in registry


def _import(module: str, subject: str) -> Any:
    here = str(Path.cwd())
    try:
        with _searched(here):
            return importlib.import_module(module)
    except Exception as error:  # whatever the module of a stranger raises
        raise _refusal(module, subject, error, f"It is searched for in {here} too.") from error


def _import_file(path: Path) -> None:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        with _searched(str(path.parent)):
            spec.loader.exec_module(module)
    except Exception as error:  # whatever the module of a stranger raises
        del sys.modules[path.stem]
        raise _refusal(str(path), "--import", error) from error


def _refusal(what: str, subject: str, error: Exception, hint: str = "") -> ConfigError:
    return ConfigError(
        f"{what!r} cannot be imported: {type(error).__name__}: {error}", subject=subject, hint=hint
    )


@contextlib.contextmanager
def _searched(folder: str) -> Iterator[None]:
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
