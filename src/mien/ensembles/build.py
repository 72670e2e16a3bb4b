"""``ensemble``: model folders and labelled faces become one model folder."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.atomic import check_new, replacing, write_text
from mien.backends.session import Session
from mien.data import Manifest, as_manifest
from mien.data.faces import damaged_keys, keep_readable, load_chunks
from mien.data.split import SPLIT, write_split
from mien.ensembles.graph import merge_graphs, shared_preprocessing
from mien.ensembles.members import (
    common_shares,
    member_log_probs,
    member_probs,
    open_members,
)
from mien.ensembles.mixing import Mixture, cross_fitted_probs, fit_mixture, parse_weights
from mien.errors import ConfigError, DataError, ModelError
from mien.evaluation.scores import Evaluation, record_evaluation, run_over
from mien.exporting.graph import import_onnx
from mien.hub import ONNX, ModelConfig, ModelFolder, write_config
from mien.preprocess import Preprocessing, normalize
from mien.priors import ClassPrior, label_shares
from mien.recognizer import EmotionRecognizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mien.arrays import F64


#: Largest difference of a probability between the file and the members' mixture.
PARITY = 1e-4


@dataclass(frozen=True)
class MemberScore:
    """A member and how it does alone, with its own preprocessing.

    Args:
        name: ``<architecture>.<tag>``.
        folder: Name of its folder.
        weight: Its share of the ensemble, 0 where it was left out.
        scores: See :meth:`mien.evaluation.Evaluation.scores`.
    """

    name: str
    folder: str
    weight: float
    scores: dict[str, Any]


@dataclass(frozen=True)
class EnsembleResult:
    """An ensemble that was built.

    Args:
        folder: The model folder.
        method: How its members are mixed.
        members: All that were given.
        scores: Of the ensemble, each face by a mixture fitted without its fold.
        fitted_scores: Of the ensemble in the folder, on the faces it was fitted on.
        parity: ``faces``, and between the file and the members run one by one with their own
            preprocessing the ``max_difference`` and ``mean_difference`` of a probability and
            ``same_label``, the share of faces with the same answer.
        unreadable: Names of pictures that could not be read and were left out.
    """

    folder: ModelFolder
    method: str
    members: tuple[MemberScore, ...]
    scores: dict[str, Any]
    fitted_scores: dict[str, Any]
    parity: dict[str, float]
    unreadable: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types."""
        members = [asdict(member) for member in self.members]
        found = {**vars(self), "members": members, "temperature": self.folder.config.temperature}
        left = {"folder"} if self.unreadable else {"folder", "unreadable"}
        return {name: value for name, value in found.items() if name not in left}


def ensemble(
    models: Sequence[str | Path],
    data: str | Sequence[str] | Manifest,
    output: str | Path,
    *,
    method: str = "equal",
    split: str = "valid",
    folds: int = 5,
    seed: int = 0,
    tag: str = "",
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> EnsembleResult:
    """Builds a model folder whose one ONNX file holds all members.

    Weights and temperature are fitted on the faces of ``split``; the scores that the folder
    carries are cross-fitted on it, so that no face is scored by a mixture that has seen it.
    Pictures that cannot be read are left out and counted in a warning.

    Args:
        models: Two model folders or more, with the same labels and framing.
        data: Labelled faces: a dataset's spec, read with the members' labels, or a manifest.
        output: Folder to write.
        method: See :func:`mien.ensembles.fit_mixture`.
        split: The split to fit on.
        folds: Folds of the cross-fitting.
        seed: Seed of the folds.
        tag: Second half of the name; empty: that of the first member.
        overwrite: Replace an ensemble that exists.
        progress: Called with the number of faces just run through one network.

    Raises:
        ConfigError: If models, method or folder are unfit.
        DataError: If the faces are.
        ModelError: If a model cannot be loaded, or the file disagrees with its members.
        MissingExtraError: If onnx or scikit-learn is missing.

    >>> found = mien.ensemble(["runs/train", "runs/other"], "folder:faces", "runs/both", folds=2)
    >>> len(found.members), found.folder.config.architecture
    (2, 'ensemble')
    """
    output, models = Path(output), [models] if isinstance(models, (str, Path)) else models
    parse_weights(method, len(models))
    import_onnx()
    _check_output(output, models, overwrite=overwrite)
    members = open_members(models)
    schema = members[0].config.schema
    manifest = as_manifest(data, labels=schema, runs=models)
    part, labels = manifest.split(split).with_labels(), schema.labels
    if part.schema.labels != labels:
        raise ConfigError(
            f"has the labels {' '.join(part.schema.labels)}, the members {' '.join(labels)}: "
            "read it with labels=members' schema",
            subject=manifest.source,
        )
    shares = common_shares([member.config for member in members])
    damaged: dict[int, DataError] = {}
    alone = member_log_probs(members, part, shares, progress=progress, damaged=damaged)
    unreadable, keep = damaged_keys(part, damaged), keep_readable(part, damaged)
    if damaged:
        part, alone = part.select(keep), alone[keep]
    shared = shared_preprocessing([member.config.preprocessing for member in members])
    exact = all(member.config.preprocessing == shared for member in members)
    folders = [member.folder for member in members]
    # What the graph's own resizing makes of the faces is what the mixture has to fit.
    seen = alone if exact else _run_merged(folders, shared, shares, part)
    probs = cross_fitted_probs(
        seen, part.class_ids, method=method, groups=part.groups, folds=folds, seed=seed
    )
    mixture = fit_mixture(seen, part.class_ids, method=method, groups=part.groups, seed=seed)
    used = np.flatnonzero(mixture.weights > 0)
    kept = mixture if len(used) == len(members) else replace(mixture, weights=mixture.weights[used])
    config = _config([folders[i] for i in used], kept, shared, tag)
    # A regression takes the shares of the faces that it is fitted on, whatever the members hold.
    held = label_shares(part.targets) if method == "stacking" else shares
    if held is not None:
        config = replace(config, prior=ClassPrior(tuple(np.round(held, 6))))
    output.mkdir(parents=True, exist_ok=True)
    model = merge_graphs([folders[i] for i in used], shared, shares, kept)
    for stale in {*output.glob("model.*"), *output.glob("eval/*.*"), output / SPLIT}:
        if stale != output / ONNX:
            stale.unlink(missing_ok=True)  # it is of the ensemble that is replaced
    with replacing(output / ONNX) as temporary:
        import_onnx().save_model(model, temporary)
    folder = write_config(output, config)
    if split == "valid":
        write_split(output, manifest.split(split), seed=seed)
    fitted, parity = _check_file(folder, part, mixture, alone, exact=exact)
    honest = Evaluation.of(part, probs, model=config.name, split=split)
    folder = record_evaluation(folder, honest, config.data)
    own = [
        Evaluation.of(
            part, member_probs(member.config, alone[:, index], shares),
            model=member.config.name, split=split,
        )
        for index, member in enumerate(members)
    ]  # fmt: skip
    listed = tuple(
        MemberScore(one.model, member.path.name, float(weight), one.scores())
        for one, member, weight in zip(own, folders, mixture.weights, strict=True)
    )
    flattered = Evaluation.of(part, fitted, model=config.name, split=split)
    result = EnsembleResult(
        folder, method, listed, honest.scores(), flattered.scores(), parity, unreadable
    )
    _note_fitting(folder, result, split, folds)
    return result


def _check_output(output: Path, models: Sequence[str | Path], *, overwrite: bool) -> None:
    if output.resolve() in {Path(model).resolve() for model in models}:
        raise ConfigError("is one of the members: give another --output", subject=output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        check_new(output, overwrite=overwrite, option="--output")
        config = output / "config.json"
        if not config.is_file() or '"architecture": "ensemble"' not in config.read_text("utf-8"):
            raise ConfigError("holds no ensemble: it is not overwritten", subject=output)


def _run_merged(
    folders: Sequence[ModelFolder], shared: Preprocessing, shares: F64 | None, part: Manifest
) -> F64:
    """Returns the members' log-probabilities (N, M, K) as the merged graph makes them."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / ONNX
        import_onnx().save_model(merge_graphs(folders, shared, shares), path)
        session = Session(path)
        loaded = (faces[shared] for _, faces in load_chunks(part, [shared], size=512))
        batches = (normalize(faces, shared) for faces in loaded)
        rows = [session.run(["log_probs"], {"input": batch})[0] for batch in batches]
    return np.concatenate(rows).astype(np.float64)


def _config(
    folders: Sequence[ModelFolder], mixture: Mixture, shared: Preprocessing, tag: str
) -> ModelConfig:
    configs = [folder.config for folder in folders]

    def unique(values: list[str]) -> str:
        return " + ".join(dict.fromkeys(values))

    licenses = dict.fromkeys(config.license for config in configs)
    members = [
        {
            "name": config.name, "architecture": config.architecture,
            "model_args": dict(config.model_args), "weight": round(float(weight), 6),
            "input_size": [config.preprocessing.channels, *[config.preprocessing.size] * 2],
            "sha256": folder.config.files.get(ONNX, {}).get("sha256"),
        }
        for folder, config, weight in zip(folders, configs, mixture.weights, strict=True)
    ]  # fmt: skip
    return ModelConfig(
        architecture="ensemble", tag=tag or configs[0].tag, schema=configs[0].schema,
        preprocessing=shared, crop_margin=configs[0].crop_margin,
        model_args={"method": mixture.method, "members": members},
        temperature=mixture.temperature, data=unique([config.data for config in configs]),
        license=next(iter(licenses)) if len(licenses) == 1 else "other",
    )  # fmt: skip


def _check_file(
    folder: ModelFolder, part: Manifest, mixture: Mixture, alone: F64, *, exact: bool
) -> tuple[F64, dict[str, float]]:
    """Runs the file as anybody will, and compares it with the members run one by one."""
    recognizer = EmotionRecognizer(folder.path, detector="none")
    found = recognizer.pipeline.probs(run_over(recognizer, part))
    expected = mixture.probs(alone)
    difference = np.abs(found - expected)
    if exact and not difference.max() <= PARITY:
        raise ModelError(
            f"its file and its members disagree by {difference.max():.2g} on a probability (at "
            f"most {PARITY:g} is allowed): do not use it",
            subject=f"{folder.path}:",
        )
    if not np.isfinite(found).all():
        reason = f"its answers on {part.source} are not all finite"
        raise DataError(reason, subject=f"{folder.path}:")
    same = float((found.argmax(axis=1) == expected.argmax(axis=1)).mean())
    return found, {
        "faces": len(part), "max_difference": float(difference.max()),
        "mean_difference": float(difference.mean()), "same_label": same,
    }  # fmt: skip


def _note_fitting(folder: ModelFolder, result: EnsembleResult, split: str, folds: int) -> None:
    """Says in the evaluation file what was fitted on which faces, and the members."""
    path = folder.path / "eval" / f"{split}.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    note = (
        f"Weights and temperature are fitted on {split}. The figures above are cross-fitted: each "
        f"face is scored by a mixture fitted without its fold (of {folds}, groups kept together). "
        "'fitted_scores' are those of the file in this folder on the faces it was fitted on, and "
        f"flatter it. The members' own temperatures and epochs were chosen on {split} too."
    )
    extra = {"note": note, **{k: v for k, v in result.to_dict().items() if k != "scores"}}
    write_text(path, json.dumps({**report, **extra}, indent=2) + "\n")
