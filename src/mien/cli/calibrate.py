"""``mien calibrate``."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from mien.cli import flags
from mien.cli.flags import flag
from mien.cli.printing import print_result, print_table, progress_bar
from mien.errors import ConfigError

if TYPE_CHECKING:
    from mien.data import Manifest
    from mien.evaluation.calibration import CalibrationResult
    from mien.hub import ModelFolder
    from mien.priors import ClassPrior
    from mien.recognizer import EmotionRecognizer

#: What ``--prior`` does.
Prior = StrEnum("Prior", ["own", "learned", "shipped"])


@flags.with_label_map
@flags.with_on_error
def command(
    model: Annotated[str, flag("Model folder; it is changed.", "-m", "--model")],
    data: flags.OptionalDatasets = None,
    source: flags.SourceFlag = None,
    split: flags.Split = "valid",
    coverage: Annotated[float, flag("Share of faces whose set holds the true label.")] = 0.9,
    prior: Annotated[
        Prior | None,
        flag(
            "own: answer for the shares of labels in -d, or of photos without labels in -s; "
            "learned: record those of -d as what the model learned from; shipped: undo own."
        ),
    ] = None,
    device: flags.Device = "auto",
    format: flags.Print = flags.Format.table,  # noqa: A002 - the flag is --format
    quiet: flags.Quiet = False,
) -> None:
    """Set a model's prediction sets on labelled faces, and check what they promise.

    Trained models have them already. With --prior it sets how common each label is: then
    probabilities are given for these shares. Everything goes into the folder's config.json.
    """
    from mien.evaluation.calibration import calibrate, write_prior
    from mien.hub.folder import refuse_bundled
    from mien.recognizer import EmotionRecognizer

    if not 0 < coverage < 1:
        raise ConfigError(f"must lie between 0 and 1; got {coverage:g}", subject="--coverage")
    recognizer = EmotionRecognizer(model, detector="none", device=device)
    refuse_bundled(recognizer.folder.path)
    manifest = _manifest(recognizer, data, source, prior)
    if prior is not None:
        part = None if manifest is None else manifest.split(split)
        found = _prior(recognizer, prior, part, source or [])
        folder = write_prior(recognizer.folder, found)
        if prior is not Prior.own or manifest is None:
            print_result({"prior": found.to_dict()}, format, lambda: _print_prior(folder, found))
            return
        # The sets are fitted to the probabilities that will be given from now on.
        recognizer = EmotionRecognizer(model, detector="none", device=device)
    assert manifest is not None  # noqa: S101 - _manifest() refuses otherwise
    with progress_bar("calibrate", None, quiet=quiet) as advance:
        result = calibrate(recognizer, manifest, split=split, coverage=coverage, progress=advance)
    parts = {name: getattr(result, name).to_dict() for name in ("conformal", "quality", "check")}
    parts |= {"unreadable": list(result.unreadable)} if result.unreadable else {}
    if prior is not None and result.folder.config.prior is not None:
        parts["prior"] = result.folder.config.prior.to_dict()
    print_result(parts, format, lambda: _print(result))


def _manifest(
    recognizer: EmotionRecognizer,
    data: list[str] | None,
    source: list[str] | None,
    prior: Prior | None,
) -> Manifest | None:
    from mien.data import read_manifest

    if source and (data or prior is not Prior.own):
        raise ConfigError("is for --prior own, without -d", subject="--source")
    if not data:
        if source or prior is Prior.shipped:
            return None
        raise ConfigError("labelled faces are needed", hint="Give -d KIND:PATH.")
    folder = recognizer.folder
    return read_manifest(data, labels=folder.config.schema, runs=[folder.path])


def _prior(
    recognizer: EmotionRecognizer, prior: Prior, part: Manifest | None, source: list[str]
) -> ClassPrior:
    from mien.cli.sources import collect
    from mien.evaluation.calibration import prior_of_photos
    from mien.priors import ClassPrior, label_shares
    from mien.recognizer import EmotionRecognizer

    if part is not None and prior is Prior.learned:
        return ClassPrior(label_shares(part.targets))
    # Refuses a folder that does not say which shares its answers hold.
    known = recognizer.variant(prior="natural").config.prior
    assert known is not None  # noqa: S101
    if prior is Prior.shipped:
        return replace(known, own=None)
    if part is not None:
        return replace(known, own=label_shares(part.targets))
    reader = EmotionRecognizer(recognizer.folder.path)
    return prior_of_photos(reader, [item.path for item in collect(source, partial=True)])


def _print_prior(folder: ModelFolder, prior: ClassPrior) -> None:
    shown = prior.own or tuple(prior.held.tolist())
    columns = zip(folder.config.schema.labels, prior.shares, shown, strict=True)
    rows = [[label, f"{a:.1%}", f"{b:.1%}"] for label, a, b in columns]
    print_table(("label", "learned from", "answers for"), rows)
    print(f"wrote {folder.path / 'config.json'}")


def _print(result: CalibrationResult) -> None:
    check, fitted = result.check, result.conformal
    others = "" if check.accuracy_others is None else f", {check.accuracy_others:.1%} of the others"
    print(
        f"{fitted.faces:,} faces; on halves that were left out the set holds the true label of "
        f"{check.coverage:.1%} (aim {fitted.coverage:.0%}).\n"
        f"{check.single:.1%} of the sets are a single label, {check.empty:.1%} are empty. "
        f"{check.accuracy_single:.1%} of the single ones are right{others}."
    )
    labels = zip(result.faces_by_label.items(), fitted.thresholds, strict=True)
    rows = [
        [label, f"{faces:,}", f"{threshold:.3f}", check.by_label[label]]
        for (label, faces), threshold in labels
    ]
    rows += [[f"the {name} tenth", "", "", share] for name, share in check.by_quality.items()]
    shown = ([*row, "" if share is None else f"{share:.1%}"] for *row, share in rows)
    print_table(("label", "faces", "min. probability", "coverage"), shown)
    print(f"wrote {result.folder.path / 'config.json'}")
