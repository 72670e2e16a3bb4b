"""The page's settings. Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass

from mien.config import Config, from_one, from_zero, option, switch
from mien.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class DemoConfig(Config):
    """Everything that decides how the page runs.

    Raises:
        ConfigError: If a value is out of range or of the wrong type.

    >>> DemoConfig(max_mb=5).max_bytes
    5000000
    """

    model: tuple[str, ...] = option(
        (),
        "Model folder or bundled name, or NAME=FOLDER; repeat it to compare models.",
        short="-m",
    )
    host: str = option("127.0.0.1", "Address to listen on; 0.0.0.0: all.")
    port: int = from_zero(7860, "Port; 0: any free one, printed at the start.", high=65535)
    share: bool = switch("Open a public link through Gradio's servers.")
    device: str = option("auto", "auto, cpu, cuda or cuda:1.")
    max_mb: float = option(20.0, "Largest photo or clip, megabytes (10^6).", low=0.001, high=1000)
    max_seconds: float = option(30.0, "Longest clip, seconds.", low=0.5, high=3600)
    concurrency: int = from_one(
        2, "Visitors answered at once with photos, with cameras and with clips, each.", high=256
    )

    def check(self) -> None:
        """Refuses an address that is none, and a name of a model that stands twice."""
        if not self.host:
            raise ConfigError(f"host must be an address, as in 127.0.0.1; got {self.host!r}.")
        _ = self.models

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
