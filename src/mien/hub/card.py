"""Model cards, written from what stands in the folder: no figure is typed by hand."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from mien.conformal import MIN_FACES
from mien.hub import card_sections as sections

if TYPE_CHECKING:
    from mien.hub.folder import ModelConfig, ModelFolder

__all__ = ["DATA_NAMES", "DATA_TERMS", "front_matter", "model_card"]

#: What is known of the terms of a dataset, by the kind of its reader.
DATA_TERMS = {
    "ferplus": (
        "FER2013 faces (Goodfellow et al. 2013) with FER+ votes (Barsoum et al. 2016). The votes "
        "are published under the MIT licence. The rights in FER2013's pictures, collected from "
        "the web for a competition, were never cleared by their publishers: nobody can promise "
        "that weights trained on them are free of claims, so assess for yourself before you use "
        "them commercially."
    ),
}
#: What to call a dataset in the Hub's metadata, by the kind of its reader.
DATA_NAMES = {"ferplus": "FER+"}
#: Words that YAML reads as something else than text.
_YAML_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def front_matter(folder: ModelFolder) -> str:
    """Returns the Hub's metadata block of a model folder, between its two lines of dashes.

    The fields are those of https://huggingface.co/docs/hub/model-cards: ``model-index`` holds one
    result for each split that ``config.json`` has metrics of, in the model's own labels.
    """
    config = folder.config
    # An identifier of the Hub's list, or a text that only people understand.
    known = re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", config.license)
    terms = {"license": config.license}
    if not known:
        terms = {"license": "other", "license_name": config.license}
    fields: dict[str, Any] = {
        **terms,
        "library_name": "mien",
        "pipeline_tag": "image-classification",
        "tags": ["facial-expression-recognition", "emotion", "face"],
    }
    if re.fullmatch(r"[\w.-]+", config.data) and config.data != "unknown":
        fields["datasets"] = [config.data]
    if config.metrics:
        fields["metrics"] = ["accuracy", "f1"]
        results = [_result(split, scores) for split, scores in _own(config).items()]
        fields["model-index"] = [{"name": config.name, "results": results}]
    return f"---\n{_yaml(fields)}\n---\n"


def _own(config: ModelConfig) -> dict[str, Any]:
    """The metrics on faces with the model's own labels; the others are keyed SPLIT-SCHEMA."""
    return {split: scores for split, scores in config.metrics.items() if "-" not in split}


def _result(split: str, scores: dict[str, Any]) -> dict[str, Any]:
    data = str(scores.get("data") or "unknown")
    shown = (
        ("accuracy", "accuracy", "Accuracy"),
        ("f1", "macro_f1", "Macro-F1"),
        ("balanced_accuracy", "balanced_accuracy", "Balanced accuracy"),
    )
    return {
        "task": {"type": "image-classification", "name": "Facial expression recognition"},
        "dataset": {"type": data, "name": DATA_NAMES.get(data, data), "split": split},
        "metrics": [
            {"type": kind, "name": name, "value": round(float(scores[key]), 4)}
            for kind, key, name in shown
            if key in scores
        ],
    }


def _yaml(value: Any, indent: int = 0) -> str:
    """Writes dicts, lists and scalars as YAML, without a library.

    >>> print(_yaml({"a": [{"b": 1, "c": "no"}], "d": "x: y"}))
    a:
    - b: 1
      c: "no"
    d: "x: y"
    """
    margin = " " * indent
    if isinstance(value, dict):
        return "\n".join(
            f"{margin}{key}:\n{_yaml(part, indent + 2 * isinstance(part, dict))}"
            if isinstance(part, (dict, list))
            else f"{margin}{key}: {_scalar(part)}"
            for key, part in value.items()
        )
    return "\n".join(
        f"{margin}- {_yaml(part, indent + 2).lstrip()}"
        if isinstance(part, dict)
        else f"{margin}- {_scalar(part)}"
        for part in value
    )


def _scalar(value: Any) -> str:
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w./-]*", value)
    if plain and value.lower() not in _YAML_WORDS:
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def model_card(folder: ModelFolder, *, repo_id: str | None = None) -> str:
    """Returns the card of a model folder as Markdown with the Hub's metadata block.

    The tables come from ``eval/valid.json`` where that file exists.

    Args:
        folder: The model.
        repo_id: ``ORG/NAME`` where it will lie on the Hub; None for a folder.
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
    report = _report(folder)
    robustness = sections.robustness(report.get("robustness", ()))
    return f"""{front_matter(folder)}
# {config.name}

Reads the expression of a face: {", ".join(config.schema.labels)}.

{_how_to_run(folder, repo_id)}

## Numbers

{_headline(_own(config))}

{_per_class(report)}{sections.calibration(folder)}
{robustness}{sections.other_labels(config.schema, config.metrics)}
## Input and output

A face, cropped as a square with the framing of the training faces, {p.size}x{p.size}
{p.color}, {p.interpolation}, {normalization}. The network gives {len(config.schema)} logits; they
are divided by the temperature {config.temperature:.4f} before the softmax.
{_prior(config)}{_sets(config)}

{files}

## Training data

{DATA_TERMS.get(config.data, f"Read as `{config.data}`; its terms are those of its publisher.")}

## Intended use and limits

For research, prototypes and products that tell people what they do with their pictures. It says
what an expression looks like to raters, not what a person feels: the two often differ. Posed,
frontal faces are read best; blur, small faces, strong light, occlusion and turned heads make it
worse. Rare classes rest on few faces, see their intervals. Accuracy by age, sex, skin tone or
culture was not measured, since the labels of the training data do not tell them. Do not use it
to assess people, at work, at school, at borders or in court; in the European Union reading
emotions at work and in education is forbidden (Regulation (EU) 2024/1689, article 5).
"""


def _prior(config: ModelConfig) -> str:
    if config.prior is None:
        return ""
    pairs = zip(config.schema.labels, config.prior.shares, strict=True)
    shares = ", ".join(f"{label} {value:.1%}" for label, value in pairs)
    own = ""
    if config.prior.own is not None:
        pairs = zip(config.schema.labels, config.prior.own, strict=True)
        own = " They are turned into answers for other shares: "
        own += ", ".join(f"{label} {value:.1%}" for label, value in pairs) + "."
    return (
        "\nThe probabilities hold how common each label was among the faces that it learned "
        f"from, to the power {config.prior.strength:g}: {shares}.{own} Where it is otherwise among "
        "your faces, say so: `--prior balanced`, or shares of your own."
    )


def _sets(config: ModelConfig) -> str:
    fitted, quality = config.conformal, config.quality
    if fitted is None or quality is None:
        return ""
    pairs = zip(config.schema.labels, fitted.thresholds, strict=True)
    smallest = ", ".join(f"{label} {value:.3f}" for label, value in pairs)
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


def _report(folder: ModelFolder) -> dict[str, Any]:
    path = folder.path / "eval" / "valid.json"
    if not path.is_file():
        return {}
    value = json.loads(path.read_text(encoding="utf-8"))
    return value if isinstance(value, dict) else {}


def _headline(metrics: Any) -> str:
    if not metrics:
        return "Not evaluated yet: type `mien evaluate`."
    rows = ["| split | data | n | accuracy (95 % interval) | macro-F1 | balanced | ECE | NLL |"]
    rows.append("|---|---|---|---|---|---|---|---|")
    for split, m in metrics.items():
        low, high = m["accuracy_ci"]
        rows.append(
            f"| {split} | {m.get('data', '')} | {m['n']} | {m['accuracy']:.2%} "
            f"({low:.2%} to {high:.2%}) | {m['macro_f1']:.3f} | {m['balanced_accuracy']:.3f} | "
            f"{m['ece']:.3f} | {m['nll']:.3f} |"
        )
    return "\n".join(rows) + (
        "\n\nReady faces, one pass, no test-time augmentation. The epoch and the temperature were "
        "chosen on the validation split. ECE: 15 bins. NLL: cross-entropy against the targets "
        "(the raters' votes where there are any)."
    )


def _per_class(report: dict[str, Any]) -> str:
    if not report:
        return ""
    rows = ["| class | recall (95 % interval) | precision | F1 | faces |", "|---|---|---|---|---|"]
    for label, m in report["per_class"].items():
        interval = m["recall_ci"]
        shown = f" ({interval[0]:.1%} to {interval[1]:.1%})" if interval else ""
        rows.append(
            f"| {label} | {m['recall']:.1%}{shown} | {m['precision']:.1%} | {m['f1']:.3f} | "
            f"{m['support']} |"
        )
    clean = report.get("deduplicated")
    note = ""
    if clean:
        low, high = clean["accuracy_ci"]
        note = (
            f"\n\nWithout the {report['n'] - clean['n']} faces of which a byte-identical copy "
            f"stands among the published training faces (they were removed from training): "
            f"{clean['accuracy']:.2%} ({low:.2%} to {high:.2%}), n = {clean['n']}."
        )
    return "\n".join(rows) + note
