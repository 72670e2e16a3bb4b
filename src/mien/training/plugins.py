"""The user's own code, named in a recipe as ``module:name``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from mien.errors import ConfigError, suggest


def load_object(name: str, key: str) -> Any:
    """Imports what a recipe names.

    Modules are looked for where Python looks, then in the current folder.

    Args:
        name: ``module:attribute``; both may hold dots.
        key: The recipe's key, for messages.

    Raises:
        ConfigError: If there is no such module or attribute, or the module fails.

    >>> load_object("math:sqrt", "loss")(9.0)
    3.0
    """
    module_name, colon, attribute = name.partition(":")
    if not (colon and module_name and attribute):
        raise ConfigError(
            f"{name!r}: name it as module:attribute, as in my_losses:margin", subject=key
        )
    here = str(Path.cwd())
    sys.path.append(here)
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:  # whatever the module of a stranger raises
        raise ConfigError(
            (
                f"{name!r}: module {module_name!r} cannot be imported: {type(error).__name__}: "
                f"{error}"
            ),
            subject=key,
            hint=f"It is looked for in {here} too.",
        ) from error
    finally:
        sys.path.remove(here)
    for part in attribute.split("."):
        if not hasattr(found, part):
            known = [word for word in dir(found) if not word.startswith("_")]
            raise ConfigError(f"{key} {name!r}: there is no {part!r} in it." + suggest(part, known))
        found = getattr(found, part)
    return found


def load_callbacks(names: str) -> list[Any]:
    """Builds the Lightning callbacks that ``callbacks`` names, each without arguments.

    Args:
        names: ``module:Class,module:Class``; empty: none.

    Raises:
        ConfigError: If one cannot be imported or built, or is no callback.
    """
    from lightning.pytorch.callbacks import Callback

    made = []
    for name in filter(None, (part.strip() for part in names.split(","))):
        build = load_object(name, "callbacks")
        if not (isinstance(build, type) and issubclass(build, Callback)):
            raise ConfigError(
                f"callbacks {name!r} is no class of Lightning callbacks: derive it from "
                "lightning.pytorch.Callback."
            )
        try:
            made.append(build())
        except TypeError as error:
            raise ConfigError(
                f"callbacks {name!r} is built without arguments, and that fails: {error}."
            ) from error
    return made
