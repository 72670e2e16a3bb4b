"""The page's settings: one dataclass whose fields are the flags. Nothing heavy is imported here."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mien.errors import ConfigError


def _option(default: Any, help_text: str, low: float = 0, high: float = math.inf) -> Any:
    return field(default=default, metadata={"help": help_text, "low": low, "high": high})


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Everything that decides how the page runs. The help of each field is its documentation.

    Raises:
        ConfigError: If a value is out of range or of the wrong type.

    >>> DemoConfig(max_mb=5).max_bytes
    5000000
    """

    model: tuple[str, ...] = _option(
        (), "Model folder or bundled name, or NAME=FOLDER; repeat it to compare models."
    )
    host: str = _option("127.0.0.1", "Address to listen on; 0.0.0.0: all.")
    port: int = _option(7860, "Port; 0: any free one, printed at the start.", 0, 65535)
    share: bool = _option(default=False, help_text="Open a public link through Gradio's servers.")
    max_mb: float = _option(20.0, "Largest photo or clip, megabytes (10^6).", 0.001, 1000)
    max_seconds: float = _option(30.0, "Longest clip, seconds.", 0.5, 3600)
    concurrency: int = _option(
        2, "Visitors answered at once with photos, with cameras and with clips, each.", 1, 256
    )

    def __post_init__(self) -> None:
        given: Any = self.model
        if isinstance(given, (str, Path)):
            given = (str(given),)
        if not all(isinstance(entry, (str, Path)) for entry in given):
            raise ConfigError(f"model must be a list of texts; got {self.model!r}.")
        object.__setattr__(self, "model", tuple(str(entry) for entry in given))
        if not isinstance(self.host, str) or not self.host:
            raise ConfigError(f"host must be an address, for example 127.0.0.1; got {self.host!r}.")
        if not isinstance(self.share, bool):
            raise ConfigError(f"share must be True or False; got {self.share!r}.")
        for item in fields(self):
            if item.type in ("int", "float"):
                self._check_number(item.name, item.metadata, whole=item.type == "int")
        _ = self.models  # a name that stands twice is refused here

    def _check_number(self, name: str, limits: Any, *, whole: bool) -> None:
        value = getattr(self, name)
        sound = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not sound or not math.isfinite(value) or (whole and value != int(value)):
            what = "a whole number" if whole else "a number"
            raise ConfigError(f"must be {what}; got {value!r}", subject=name)
        low, high = limits["low"], limits["high"]
        if not low <= value <= high:
            raise ConfigError(f"must be from {low:g} to {high:g}; got {value!r}", subject=name)
        object.__setattr__(self, name, int(value) if whole else float(value))

    @property
    def max_bytes(self) -> int:
        """Largest photo or clip in bytes."""
        return int(self.max_mb * 1_000_000)

    @property
    def models(self) -> dict[str, str | None]:
        """Name on the page -> folder or bundled name; empty: the default model.

        Raises:
            ConfigError: If a name stands twice.
        """
        from mien.hub import name_models

        return dict(name_models(self.model))
