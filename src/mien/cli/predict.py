"""``mien predict``: photos, clips, a camera, or a job over many photos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mien.cli import flags
from mien.cli.flags import flag
from mien.cli.printing import Manner, failed, progress_bar, remark
from mien.errors import ConfigError, InputError
from mien.jobs.config import JobConfig, is_results_name
from mien.video.config import VideoConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.cli.sources import Item


@flags.with_flags
def command(
    reading: JobConfig,
    video: VideoConfig,
    sources: flags.Sources = None,
    source: flags.SourceFlag = None,
    output: Annotated[
        str | None,
        flag(
            "Folder (or one file) for annotated pictures; folder, or NAME.mp4 for the annotated "
            "copy alone, for a clip; results.parquet, a folder or address, for a job.",
            "-o",
            "--output",
        ),
    ] = None,
    format: flags.PrintRows = flags.RowsFormat.table,  # noqa: A002 - the flag is --format
    webcam: Annotated[str | None, flag("Camera: its number, device or address.")] = None,
    resume: Annotated[bool, flag("Jobs: go on with one that was stopped.", "--resume")] = False,
    on_error: flags.OnErrorFlag = flags.OnError.proceed,
    overwrite: flags.Overwrite = False,
    quiet: flags.Quiet = False,
) -> None:
    """Find faces in photos, clips or a camera's pictures and read their expressions.

    In a clip, faces are tracked; with -o it writes an annotated copy, a timeline and a summary,
    and a run that was stopped goes on where it was. One bad picture among many becomes a row with
    its error and exit code 1; the rest is answered.

    With --engine, or -o results.parquet, it is a job: any number of photos from folders, lists
    or object stores, over processes or a Ray cluster, into Parquet files.
    """
    words, is_job = [*(sources or []), *(source or [])], reading.engine is not None
    how = Manner(format.value, overwrite, quiet, on_error.value)
    if is_job or (output is not None and is_results_name(output)):
        if webcam is not None:
            raise ConfigError("stands alone: leave --engine out", subject=f"--webcam {webcam}")
        if on_error is flags.OnError.stop:
            reason = "is for photos and clips: a job keeps each error in its row"
            raise ConfigError(reason, subject="--on-error stop")
        predict_job(words, output, reading, resume=resume, how=how)
        return
    if resume:
        raise ConfigError("--resume is for jobs: add -o results.parquet.")
    from mien.cli.sources import collect

    items = collect(words, clips=True, partial=on_error is flags.OnError.proceed)
    target = Path(output) if output is not None else None
    if webcam is not None:
        from mien.cli.predict_clips import predict_camera

        if items:
            raise ConfigError(f"stands alone: leave {items[0].path} out", subject="--webcam")
        if target is not None:
            raise ConfigError(f"writes no files: leave -o {target} out", subject="--webcam")
        predict_camera(webcam, reading.open_recognizer(threads=0), video, form=how.form)
    elif not items:
        raise InputError("no pictures: name at least one, for example mien predict photo.jpg")
    elif clips := _clips(items):
        from mien.cli.predict_clips import predict_clips

        predict_clips(clips, reading.open_recognizer(threads=0), video, target, how)
        if faults := [item.fault for item in items if item.fault]:
            raise failed(*faults)
    else:
        from mien.cli.predict_photos import predict_photos

        predict_photos(items, reading, target, how)


def _clips(items: list[Item]) -> list[Path]:
    """Returns the sources if they are clips, an empty list if they are photos."""
    clips = [item.path for item in items if item.is_clip]
    if clips and any(not item.is_clip and not item.fault for item in items):
        raise ConfigError(
            "is a clip among photos: give clips and photos separately", subject=clips[0]
        )
    return clips


def predict_job(
    words: Sequence[str], output: str | None, config: JobConfig, *, resume: bool, how: Manner
) -> None:
    """Runs a job to its end and prints its summary; exit code 1 if one could not be read."""
    from mien.jobs.run import open_job

    if output is None:
        raise ConfigError("a job writes files: add -o results.parquet.")
    if not is_results_name(output):
        flags.check_folder_name(Path(output))
    if how.form == "csv":
        raise ConfigError("a job's rows are in its Parquet files: leave --format csv out.")
    with (
        open_job(words, output, config=config, resume=resume, overwrite=how.overwrite) as job,
        progress_bar("predict", job.pictures, quiet=how.quiet) as advance,
    ):
        if job.left_out:
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in job.left_out.most_common(5))
            remark(f"left out: {job.left_out.total():,} file(s) that are no pictures ({kinds})")
        advance(job.done)
        summary = job.run(advance)
    print(json.dumps(summary.to_dict()) if how.form == "json" else "\n".join(summary.lines()))
    if summary.failed:
        count = f"{summary.failed:,} of {summary.pictures:,} pictures could not be read"
        count = "not one picture could be read" if summary.all_failed else count
        raise failed(f"{count}; the errors are in the rows")
