"""The run directory: made, taken over, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.errors import ConfigError
from mien.training.config import TrainConfig

if TYPE_CHECKING:
    from pathlib import Path

ARGS = "args.yaml"
CHECKPOINTS = "checkpoints"
#: What may differ when a run is resumed.
FREE = frozenset(
    {"threads", "device", "devices", "num_nodes", "tag", "license", "logger", "imports"}
)


def prepare_directory(
    output: Path, config: TrainConfig, *, resume: bool, overwrite: bool
) -> Path | None:
    """Makes the run directory, or checks the one to resume.

    Returns:
        The checkpoint to go on from, or None.

    Raises:
        ConfigError: If the directory is in use, or was started with other values.
    """
    args, last = output / ARGS, output / CHECKPOINTS / "last.ckpt"
    if resume and args.is_file():
        started = TrainConfig.load(args).to_dict()
        differing = [
            f"{key} ({started[key]} then, {value} now)"
            for key, value in config.to_dict().items()
            if started[key] != value and key not in FREE
        ]
        if differing:
            raise ConfigError(
                f"was started with other values: {', '.join(differing)}",
                subject=output,
                hint="Resume with the same ones, or give another --output.",
            )
        return last if last.is_file() else None
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        if not overwrite:
            raise ConfigError(
                "exists already",
                subject=output,
                hint=(
                    "Type --resume to go on with it, --overwrite to start it anew, or give another "
                    "--output."
                ),
            )
        if not args.is_file():
            raise ConfigError(
                f"is no run directory (no {ARGS}): it is not overwritten", subject=output
            )
        for name in ("last.ckpt", "best.ckpt"):
            (output / CHECKPOINTS / name).unlink(missing_ok=True)
    output.mkdir(parents=True, exist_ok=True)
    from mien.atomic import write_text

    write_text(args, config.to_yaml())
    return None
