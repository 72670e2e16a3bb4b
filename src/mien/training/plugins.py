"""The user's own callbacks, named in a recipe as ``module:Class``."""

from __future__ import annotations

from typing import Any

from mien.config import load_object
from mien.errors import ConfigError


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
