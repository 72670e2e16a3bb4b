"""``mien predict``."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.errors import ConfigError, InputError

if TYPE_CHECKING:
    from mien.cli.sources import Item


class Format(StrEnum):
    """How results are written."""

    table = "table"
    json = "json"
    csv = "csv"


def command(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Photos, folders, globs, 'sample' for the bundled photo, or - for a list of "
            "paths on stdin; or video clips.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option("-s", "--source", help="Same as a plain argument.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="Model folder or bundled name.")
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            "--detector", help="Face detector: NAME or NAME:FILE; none: pictures are faces already."
        ),
    ] = None,
    labels: Annotated[
        str | None, typer.Option("--labels", help="Answer in hes3, fer7 or ferplus8.")
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            help="Folder (or one file) for annotated pictures; folder for a clip; "
            "results.parquet, a folder or address, for a job.",
        ),
    ] = None,
    format: Annotated[  # noqa: A002 - the flag is --format
        Format, typer.Option("--format", help="json: one object a line and picture.")
    ] = Format.table,
    min_face: Annotated[
        int | None, typer.Option("--min-face", help="Smallest face to look for, pixels.", min=1)
    ] = None,
    backend: Annotated[str, typer.Option("--backend", help="onnx or torch.")] = "onnx",
    batch_size: Annotated[
        int, typer.Option("-b", "--batch-size", help="Faces a network run.", min=1)
    ] = 64,
    workers: Annotated[
        int,
        typer.Option(
            "-j",
            "--workers",
            help="Pictures at once, a thread each (a job: a process); 0: all.",
            min=0,
        ),
    ] = 0,
    webcam: Annotated[
        str | None, typer.Option("--webcam", help="Camera: its number, device or address.")
    ] = None,
    fps: Annotated[
        float, typer.Option("--fps", help="Clips: frames a second to read; 0: every frame.", min=0)
    ] = 0.0,
    detect_every: Annotated[
        int, typer.Option("--detect-every", help="Clips: look for faces in every n-th frame.")
    ] = 3,
    smooth: Annotated[
        float, typer.Option("--smooth", help="Clips: time constant of the smoothing, seconds.")
    ] = 0.5,
    srt: Annotated[bool, typer.Option("--srt", help="Clips: write subtitles.")] = False,
    engine: Annotated[
        str | None,
        typer.Option(
            "--engine", help="Run a job: local (processes) or ray; -o results.parquet: local."
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", help="Jobs: Ray cluster: auto, HOST:PORT or ray://HOST:PORT."),
    ] = None,
    stages: Annotated[
        str, typer.Option("--stages", help="Jobs: joined, or split into stages of Ray Data.")
    ] = "fused",
    part_size: Annotated[
        int, typer.Option("--part-size", help="Jobs: pictures a part and file.", min=1)
    ] = 250,
    resume: Annotated[
        bool, typer.Option("--resume", help="Jobs: go on with one that was stopped.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results that exist.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar.")] = False,
) -> None:
    """Find faces in photos, clips or a camera's pictures and read their expressions.

    Of a clip the faces are followed; with -o it writes an annotated copy, a timeline and a
    summary, and a run that was stopped goes on where it was. One bad picture among many becomes a
    row with its error and exit code 1; the rest is answered.

    With --engine, or -o results.parquet, it runs a job: any number of photos from folders, lists
    or object stores, over processes or a Ray cluster, into Parquet files.
    """
    from mien.cli.progress import progress_bar
    from mien.cli.sources import Outputs, collect
    from mien.cli.writers import make_writer
    from mien.jobs.config import JobConfig, is_results_name
    from mien.recognizer import EmotionRecognizer

    words = [*(sources or []), *(source or [])]
    if engine is not None or (output is not None and is_results_name(output)):
        from mien.cli._scale import predict_job

        if webcam is not None:
            raise ConfigError(f"--webcam {webcam} stands alone: leave --engine out.")
        job = JobConfig(
            engine=engine or "local", address=address, stages=stages, workers=workers,
            part_size=part_size, model=model, labels=labels, backend=backend,
            batch_size=batch_size, min_face=min_face,
            **({"detector": detector} if detector else {}),  # type: ignore[arg-type]
        )  # fmt: skip
        predict_job(
            words, output, job, form=format.value, resume=resume, overwrite=overwrite, quiet=quiet
        )
        return
    if address is not None or resume:
        raise ConfigError("--address and --resume are for jobs: add -o results.parquet.")
    target = Path(output) if output is not None else None
    items = collect(words)
    if not items and webcam is None:
        raise InputError("no pictures: name at least one, for example mien predict photo.jpg")
    clips = _clips(items, webcam)
    outputs = Outputs(target, items, overwrite=overwrite) if target and not clips else None
    options = {"detector": detector} if detector else {}
    recognizer = EmotionRecognizer(
        model,
        labels=labels,
        backend=backend,
        batch_size=batch_size,
        min_face=min_face,
        **options,  # type: ignore[arg-type]
    )
    if clips or webcam is not None:
        from mien.cli import _video
        from mien.video import VideoConfig

        config = VideoConfig(
            fps=fps, detect_every=detect_every, smooth_s=smooth, srt=srt, min_face=min_face
        )
        if webcam is not None:
            _video.predict_camera(webcam, recognizer, config, form=format.value)
        else:
            _video.predict_clips(
                clips, recognizer, config, output=target, form=format.value,
                overwrite=overwrite, quiet=quiet,
            )  # fmt: skip
        return
    failed = 0
    writer = make_writer(format.value, items, recognizer.labels)
    with progress_bar("predict", len(items), quiet=quiet) as advance:
        stream = recognizer.stream(
            (item.path for item in items), workers=workers or None, keep_images=outputs is not None
        )
        for item, (result, image_rgb) in zip(items, stream, strict=True):
            failed += hasattr(result, "error")
            writer(result)
            if outputs is not None and image_rgb is not None:
                outputs.save(item, result.draw(image_rgb))  # type: ignore[union-attr]
            advance(1)
    if failed:
        sys.stdout.flush()
        what = "picture" if len(items) == 1 else f"of {len(items)} pictures"
        print(f"mien: {failed} {what} could not be read", file=sys.stderr)
        raise typer.Exit(1)


def _clips(items: list[Item], webcam: str | None) -> list[Path]:
    """Returns the sources if they are clips; an empty list if they are photos.

    Raises:
        ConfigError: If there are both, or a camera beside them.
    """
    from mien.video import is_video_name

    clips = [item.path for item in items if is_video_name(item.path)]
    if webcam is not None and items:
        raise ConfigError(f"--webcam {webcam} stands alone: leave {items[0].path} out.")
    if clips and len(clips) < len(items):
        raise ConfigError(
            "is a clip among photos: give clips and photos separately", subject=f"{clips[0]}"
        )
    return clips
