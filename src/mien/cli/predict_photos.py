"""``mien predict`` of photos."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.cli.progress import progress_bar
from mien.cli.sources import Item, Outputs
from mien.cli.tables import failed
from mien.cli.writers import make_writer
from mien.results import ErrorResult

if TYPE_CHECKING:
    from pathlib import Path

    from mien.jobs.config import JobConfig


def predict_photos(
    items: list[Item],
    config: JobConfig,
    *,
    output: Path | None,
    form: str,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Answers photos in order and prints a row each; with ``output``, draws them too.

    Raises:
        ConfigError: If files of ``output`` exist.
        typer.Exit: With code 1 if one could not be read.
    """
    outputs = Outputs(output, items, overwrite=overwrite) if output else None
    recognizer = config.open_recognizer(threads=0)
    writer = make_writer(form, items, recognizer.labels)
    bad = 0
    with progress_bar("predict", len(items), quiet=quiet) as advance:
        stream = recognizer.stream(
            (item.path for item in items),
            workers=config.workers or None,
            keep_images=outputs is not None,
        )
        for item, (result, image_rgb) in zip(items, stream, strict=True):
            writer(result)
            if isinstance(result, ErrorResult):
                bad += 1
            elif outputs is not None and image_rgb is not None:
                outputs.save(item, result.draw(image_rgb))
            advance(1)
    if bad:
        what = "picture" if len(items) == 1 else f"of {len(items)} pictures"
        raise failed(f"{bad} {what} could not be read")
