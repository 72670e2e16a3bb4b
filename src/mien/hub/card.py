"""Model cards, written from what stands in the folder: no figure is typed by hand."""

from __future__ import annotations

import json
import re
from statistics import fmean
from typing import TYPE_CHECKING, Any

from mien.atomic import write_text
from mien.conformal import MIN_FACES
from mien.errors import ConfigError, ModelError
from mien.hub.folder import CARD, ModelConfig, ModelFolder, write_config
from mien.labels import SCHEMAS, LabelSchema, mapping_matrix
from mien.reporting.text import SOURCE_COLUMNS, card_metadata, markdown_table, source_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path


__all__ = ["DATA_BRIEF", "DATA_NAMES", "DATA_TERMS", "front_matter", "model_card"]

#: What is known of the terms of a dataset, by the kind of its reader.
DATA_TERMS = {
    "ferplus": (
        "FER2013 faces (Goodfellow et al. 2013) with FER+ votes (Barsoum et al. 2016). The votes "
        "are published under the MIT licence. The rights in FER2013's pictures, collected from "
        "the web for a competition, were never cleared by their publishers: nobody can promise "
        "that weights trained on them are free of claims, so assess for yourself before you use "
        "them commercially."
    ),
    "faces": (
        "FER2013 faces with FER+ votes (terms: see the card of `mienet_s.ferplus8`), and four "
        "sets of which copies circulate without a stated licence, for research by convention: "
        "`affect`, 27,076 photographs of faces cut out along an oval, 7 labels (they look like "
        "AffectNet); `cfee`, 1,567 laboratory faces of CFEE; `contempt`, 3,048 photographs; "
        "`moodme`, 204 stock photographs. With answers of larger networks for labels: 4,000 "
        "portraits (LFW) and 3,923 faces of group photographs. Nothing of them is published here. "
        "For commercial use choose `mienet_s.ferplus8`, trained on FER+ alone, or your own.\n\n"
        "In the first table `valid` is FER+ valid, the others are faces of each set that had no "
        "part in training (of `cfee` the basic expressions of other people); those of `cfee`, "
        "`moodme` and `contempt` went through mien's detector. All of them were in sight when the "
        "trainings to average and the strength and smoothing of the prior were chosen, FER+'s "
        "when the ranges of int8 were; one random half fitted temperature, prediction sets and "
        "quality bounds. "
        "`research/expression` repeats the road."
    ),
}
#: The same in a few words.
DATA_BRIEF = {
    "ferplus": "FER2013 pictures, rights never cleared",
    "faces": "five sets, four for research only",
}
#: What to call a dataset in the Hub's metadata, by the kind of its reader.
DATA_NAMES = {"ferplus": "FER+", "faces": "FER+ and four other sets"}


def front_matter(folder: ModelFolder, *, library: str = "mien") -> str:
    """Returns the Hub's metadata block of a model folder, between its two lines of dashes.

    The fields are those of https://huggingface.co/docs/hub/model-cards: ``model-index`` holds one
    result for each split that ``config.json`` has metrics of, in the model's own labels.

    Args:
        folder: The model.
        library: What opens it.
    """
    config = folder.config
    fields: dict[str, Any] = {"library_name": library, "pipeline_tag": "image-classification"}
    if re.fullmatch(r"[\w.-]+", config.data) and config.data != "unknown":
        fields["datasets"] = [config.data]
    if config.metrics:
        fields["metrics"] = ["accuracy", "f1"]
        results = [_result(split, scores) for split, scores in _own(config).items()]
        fields["model-index"] = [{"name": config.name, "results": results}]
    return card_metadata(config.license, fields)


def _own(config: ModelConfig) -> dict[str, Any]:
    """The metrics on faces with the model's own labels; the others are keyed SPLIT-SCHEMA."""
    return {split: scores for split, scores in config.metrics.items() if "-" not in split}


def _result(split: str, scores: dict[str, Any]) -> dict[str, Any]:
    data = str(scores.get("data") or "unknown")
    shown = (
        ("accuracy", "accuracy", "Accuracy"), ("f1", "macro_f1", "Macro-F1"),
        ("balanced_accuracy", "balanced_accuracy", "Balanced accuracy"),
    )  # fmt: skip
    return {
        "task": {"type": "image-classification", "name": "Facial expression recognition"},
        "dataset": {"type": data, "name": DATA_NAMES.get(data, data), "split": split},
        "metrics": [
            {"type": kind, "name": name, "value": round(float(scores[key]), 4)}
            for kind, key, name in shown
            if key in scores
        ],
    }


def model_card(folder: ModelFolder, *, repo_id: str | None = None) -> str:
    """Returns the card of a model folder as Markdown with the Hub's metadata block.

    The tables come from ``eval/valid.json`` where that file exists.

    Args:
        folder: The model.
        repo_id: ``ORG/NAME`` where it will lie on the Hub; None for a folder.

    Raises:
        ModelError: If that file is damaged.
    """
    config = folder.config
    p = config.preprocessing
    normalization = (
        f"`(x - mean) / (std + {p.epsilon:g})` by face, on 0..255"
        if p.normalization == "per_image"
        else f"`(x / 255 - {list(p.mean)}) / {list(p.std)}`"
    )
    files = "\n".join(
        f"- `{name}`: {entry['bytes'] / 1e6:.2f} MB, sha256 `{entry['sha256']}`"
        for name, entry in config.files.items()
    )
    per_class, robustness = _evaluated(folder.path / "eval" / "valid.json")
    return f"""{front_matter(folder)}
# {config.name}

Reads the expression of a face: {", ".join(config.schema.labels)}.

{_how_to_run(folder, repo_id)}

## Numbers

{_headline(_own(config))}

{per_class}{_calibration(folder)}
{robustness}{_other_labels(config.schema, config.metrics)}
## Input and output

A face, cropped as a square with the framing of the training faces, {p.size}x{p.size}
{p.color}, {p.interpolation}, {normalization}. The network gives {len(config.schema)} logits; they
are divided by the temperature {config.temperature:.4f} before the softmax.
{_prior(config)}{_sets(config)}

{files}

## Training data

{_training_data(config)}

## Intended use and limits

For research, prototypes and products that tell people what they do with their pictures. It says
what an expression looks like to raters, not what a person feels: the two often differ. Posed,
frontal faces are read best; blur, small faces, strong light, occlusion and turned heads make it
worse. Rare classes rest on few faces, see their intervals. Accuracy by age, sex, skin tone or
culture was not measured, since the labels of the training data do not tell them. Do not use it
to assess people, at work, at school, at borders or in court; in the European Union reading
emotions at work and in education is forbidden (Regulation (EU) 2024/1689, article 5).
"""


def _training_data(config: ModelConfig) -> str:
    """Returns what the weights learned from, and its terms."""
    unknown = f"Read as `{config.data}`; its terms are those of its publisher."
    if not config.sources:
        return DATA_TERMS.get(config.data, unknown)
    rows = [
        [name, each["kind"], each["license"], each["train"], f"{each['share']:.1%}"]
        for name, each in config.sources.items()
    ]
    header = ("dataset", "kind", "licence", "training faces", "share of the faces drawn")
    kinds = dict.fromkeys(each["kind"] for each in config.sources.values())
    known = [f"`{kind}`: {DATA_TERMS[kind]}" for kind in kinds if kind in DATA_TERMS]
    return "\n\n".join([markdown_table(header, rows, left=3), *known])


def _by_label(config: ModelConfig, values: Iterable[float], form: str) -> str:
    pairs = zip(config.schema.labels, values, strict=True)
    return ", ".join(f"{label} {value:{form}}" for label, value in pairs)


def _prior(config: ModelConfig) -> str:
    if config.prior is None:
        return ""
    shares, own = _by_label(config, config.prior.shares, ".1%"), ""
    if config.prior.own is not None:
        given = _by_label(config, config.prior.own, ".1%")
        own = f" They are turned into answers for other shares: {given}."
    held = "how common each label was among the faces that it learned from"
    if config.architecture == "ensemble":
        held = "how common its members take each label to be"
    if config.prior.smoothing:
        held += f", {config.prior.smoothing:.0%} of it divided evenly among the labels"
    return (
        f"\nThe probabilities hold {held}, to the power {config.prior.strength:g}: {shares}.{own} "
        "Where it is otherwise among your faces, say so: `--prior balanced`, or shares of your own."
    )


def write_config_and_card(path: Path, config: ModelConfig) -> ModelFolder:
    """Writes ``config.json`` (see :func:`write_config`) and the card of a model folder."""
    folder = write_config(path, config)
    write_text(path / CARD, model_card(folder))
    return folder


def _sets(config: ModelConfig) -> str:
    fitted, quality = config.conformal, config.quality
    if fitted is None or quality is None:
        return ""
    smallest = _by_label(config, fitted.thresholds, ".3f")
    return (
        "\n\nThe prediction set of a face holds each label of at least this probability: "
        f"{smallest}. Fitted on {fitted.faces:,} faces, it holds the true label of "
        f"{fitted.coverage:.0%} of the faces of each label that has at least {MIN_FACES} of them; "
        "rarer labels take the threshold of all faces, and the set holds them less often. "
        "An answer counts as uncertain where the "
        f"set is not exactly the answer, the face is below {quality.min_side:g} pixels, or it is "
        "darker, flatter or more blurred than all but 0.5 % of those faces. The promise is for "
        "faces of their kind."
    )


def _how_to_run(folder: ModelFolder, repo_id: str | None) -> str:
    if repo_id is None:
        bundled = folder.path.parent.name == "assets"
        name = folder.config.name if bundled else "FOLDER"
        return f"```console\nmien predict photo.jpg --model {name}\n```"
    return (
        "```python\n"
        "from mien import EmotionRecognizer\n\n"
        f'recognizer = EmotionRecognizer.from_pretrained("{repo_id}")\n'
        'print(recognizer.predict("photo.jpg").to_json())\n'
        "```"
    )


def _evaluated(path: Path) -> tuple[str, str]:
    """Returns what a recorded evaluation says of the classes, and of corrupted faces."""
    if not path.is_file():
        return "", ""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        return _per_class(report), _robustness(report.get("robustness", ()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        hint = "Type mien evaluate --record to write it anew, or delete it."
        raise ModelError(f"is damaged: {error!r}", subject=path, hint=hint) from error


def _shown(scores: Mapping[str, Any], key: str = "accuracy", digits: int = 2) -> str:
    """Returns a share with its interval, where it has one."""
    share, interval = f"{scores[key]:.{digits}%}", scores[f"{key}_ci"]
    if not interval:
        return share
    return f"{share} ({interval[0]:.{digits}%} to {interval[1]:.{digits}%})"


def _headline(metrics: Mapping[str, Any]) -> str:
    if not metrics:
        return "Not evaluated yet: type `mien evaluate`."
    header = (
        "split", "data", "n", "accuracy (95 % interval)", "macro-F1", "balanced", "ECE", "NLL",
    )  # fmt: skip
    rows = [
        [split, m.get("data", ""), m["n"], _shown(m)]
        + [f"{m[key]:.3f}" for key in ("macro_f1", "balanced_accuracy", "ece", "nll")]
        for split, m in metrics.items()
    ]
    return markdown_table(header, rows, left=2) + (
        "\n\nReady faces, one pass, no test-time augmentation. The epoch and the temperature were "
        "chosen on the validation split. ECE: 15 bins. NLL: cross-entropy against the targets "
        "(the raters' votes where there are any)."
    )


def _per_class(report: Mapping[str, Any]) -> str:
    rows = [
        [label, _shown(m, "recall", 1), f"{m['precision']:.1%}", f"{m['f1']:.3f}", m["support"]]
        for label, m in report["per_class"].items()
    ]
    table = markdown_table(("class", "recall (95 % interval)", "precision", "F1", "faces"), rows)
    if rows_by_source := source_rows(report):
        table = f"{markdown_table(SOURCE_COLUMNS, rows_by_source)}\n\n{table}"
    clean = report.get("deduplicated")
    if not clean:
        return table
    return table + (
        f"\n\nWithout the {report['n'] - clean['n']} faces of which a byte-identical copy "
        "stands among the published training faces (they were removed from training): "
        f"{_shown(clean)}, n = {clean['n']}."
    )


def _calibration(folder: ModelFolder) -> str:
    """Returns the picture of confidence against what is right, where it was drawn."""
    path = folder.path / "eval" / "valid.png"
    if not path.is_file():
        return ""
    words = "Share of right answers against confidence, 15 bins, 95 % intervals"
    return (
        f"\n\n![{words}](eval/{path.name})\n\n{words}. On the diagonal, answers that are 70 % sure "
        "are right in 70 % of the cases."
    )


def _robustness(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns what ``mien evaluate --robustness --record`` wrote as a chapter, empty without."""
    if not rows:
        return ""
    corrupted = [row for row in rows if row["severity"]]
    scores: dict[str, list[float]] = {}
    for row in corrupted:
        scores.setdefault(row["condition"], []).append(row["accuracy"])
    cells = [
        [kind, *(f"{value:.1%}" for value in (*values, fmean(values)))]
        for kind, values in scores.items()
    ]
    others = [row for row in rows if not row["severity"]]
    lost = [f"{100 * (others[0]['accuracy'] - row['accuracy']):.1f}" for row in others]
    framed = [
        [row["condition"], _shown(row, digits=1), points]
        for row, points in zip(others, lost, strict=True)
    ]
    return (
        f"\n## Corrupted and badly framed faces\n\nOn {rows[0]['n']} validation faces, drawn "
        f"and corrupted with fixed seeds: accuracy by severity; "
        f"{fmean(row['accuracy'] for row in corrupted):.1%} is the mean of all {len(corrupted)} "
        f"cells.\n\n{markdown_table(('corruption', *'12345', 'mean'), cells)}\n\n"
        f"{markdown_table(('framing and size', 'accuracy (95 % interval)', 'lost'), framed)}\n"
    )


def _other_labels(own: LabelSchema, metrics: Mapping[str, Any]) -> str:
    """Returns how the answers are read in the other known labels, as a chapter."""
    rows = []
    for schema in SCHEMAS.values():
        if schema.labels == own.labels:
            continue
        try:
            matrix = mapping_matrix(own, schema)
        except ConfigError:
            continue  # nothing in common
        scores = metrics.get(f"valid-{schema.name}")
        found = f"{_shown(scores)}, n = {scores['n']}" if scores else "not measured"
        ways = (_way(label, row, schema) for label, row in zip(own.labels, matrix, strict=True))
        rows.append([f"`{schema.name}`", "; ".join(ways), found])
    if not rows:
        return ""
    return (
        "\n## In other labels\n\nProbabilities are added where labels meet and scaled to sum to 1; "
        "what the other labels lack is left out, or goes where measured shares send it.\n\n"
        + markdown_table(("labels", "how they are read", "accuracy (95 % interval)"), rows, left=2)
        + "\n"
    )


def _way(label: str, row: Any, schema: LabelSchema) -> str:
    pairs = zip(row, schema.labels, strict=True)
    reached = [(float(share), name) for share, name in pairs if share]
    if not reached:
        return f"{label}: left out"
    if len(reached) == 1:
        return label if reached[0][1] == label else f"{label} as {reached[0][1]}"
    shares = ", ".join(f"{name} {share:.0%}" for share, name in sorted(reached, reverse=True))
    return f"{label} as {shares}"
