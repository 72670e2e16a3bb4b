"""Label schemas: what the numbers of a model mean, and how one set of labels maps to another.

A :class:`LabelSchema` is an ordered tuple of labels with aliases. The order is the order of a
model's outputs; it is stored with the weights and never taken from a folder listing.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import ConfigError, DataError, suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mien.arrays import F64, Floats

__all__ = [
    "ALIASES",
    "FER7",
    "FERPLUS8",
    "HES3",
    "SCHEMAS",
    "LabelSchema",
    "as_schema",
    "get_schema",
    "map_probs",
    "mapping_matrix",
]

#: Spellings of the field's datasets and tools, by label, in the order of ``ferplus8``. Matching
#: ignores case and spaces.
ALIASES: dict[str, tuple[str, ...]] = {
    "neutral": ("neutrality", "calm", "ne"),
    "happiness": ("happy", "joy", "smile", "ha"),
    "surprise": ("surprised", "su"),
    "sadness": ("sad", "sa"),
    "anger": ("angry", "an"),
    "disgust": ("disgusted", "di"),
    "fear": ("fearful", "afraid", "scared", "fe"),
    "contempt": ("contemptuous", "co"),
}


def fold_label(text: str) -> str:
    """Returns a label in the form in which spellings are compared."""
    return text.strip().casefold().replace("_", " ")


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{value!r} is no list of names")
    return tuple(value)


@dataclass(frozen=True)
class LabelSchema:
    """An ordered set of labels.

    Args:
        name: Name of the schema, for example ``"ferplus8"``.
        labels: Labels in the order of the model's outputs, all different, at least two.
        aliases: Other spellings by label; case and surrounding spaces never matter.

    Raises:
        ConfigError: If labels are fewer than two, empty or repeated, or an alias is ambiguous.

    >>> schema = LabelSchema("mood", ("good", "bad"), {"good": ("fine",)})
    >>> schema.index("Fine"), len(schema)
    (0, 2)
    """

    name: str
    labels: tuple[str, ...]
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False)
    _spellings: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        given: tuple[object, ...] = (self.labels, *self.aliases.values())
        for names in given:
            if isinstance(names, str):
                raise ConfigError(
                    f"expected a list of names, got the text {names!r}, which would count letter "
                    "by letter",
                    subject=f"schema {self.name!r}:",
                    hint=f"Type: [{names!r}].",
                )
        labels = tuple(self.labels)
        object.__setattr__(self, "labels", labels)
        if len(labels) < 2:
            raise ConfigError(
                f"schema {self.name!r} has {len(labels)} label(s), but a classifier needs at "
                "least two: name two or more labels."
            )
        for class_id, label in enumerate(labels):
            if not isinstance(label, str) or not fold_label(label):
                raise ConfigError(f"schema {self.name!r} has an empty label at {class_id}.")
            for spelling in (label, *self.aliases.get(label, ())):
                if self._spellings.setdefault(fold_label(spelling), class_id) != class_id or (
                    spelling is label and labels.index(label) != class_id
                ):
                    raise ConfigError(
                        f"schema {self.name!r}: {spelling!r} stands for two labels; "
                        "every spelling must belong to one label."
                    )
        for label in self.aliases:
            if label not in labels:
                raise ConfigError(
                    f"schema {self.name!r} has aliases for {label!r}, which is no label of it."
                    + suggest(label, labels)
                )

    def __len__(self) -> int:
        return len(self.labels)

    def __contains__(self, label: object) -> bool:
        return isinstance(label, str) and fold_label(label) in self._spellings

    def index(self, label: str) -> int:
        """Returns the class id of a label or alias.

        Raises:
            DataError: If the label is not of this schema; the closest ones are named.
        """
        try:
            return self._spellings[fold_label(label)]
        except KeyError:
            raise DataError(
                f"{label!r} is not a label of schema {self.name!r}." + suggest(label, self.labels)
            ) from None

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types; :meth:`from_dict` reads them back."""
        return {
            "name": self.name,
            "labels": list(self.labels),
            "aliases": {label: list(names) for label, names in self.aliases.items()},
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> LabelSchema:
        """Builds a schema from :meth:`to_dict`'s form.

        Raises:
            ConfigError: If a field is missing or of the wrong type.
        """
        try:
            return cls(
                str(value.get("name", "custom")),
                _names(value["labels"]),
                {str(k): _names(v) for k, v in dict(value.get("aliases") or {}).items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(
                f"a schema needs 'labels', a list of names; got {value!r} ({error})."
            ) from error


FERPLUS8 = LabelSchema("ferplus8", tuple(ALIASES), ALIASES)
_SEVEN = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
FER7 = LabelSchema("fer7", _SEVEN, {label: ALIASES[label] for label in _SEVEN})
HES3 = LabelSchema(
    "hes3",
    ("angry", "happy", "sad"),
    {"angry": ("anger",), "happy": ("happiness",), "sad": ("sadness",)},
)

SCHEMAS: dict[str, LabelSchema] = {s.name: s for s in (FERPLUS8, FER7, HES3)}

#: Where a label goes when the target schema lacks it: a weight for each target label.
#: FER2013 has no contempt. The weights are what FER2013's own label says of the 119 train faces
#: that a majority of FER+ raters call contempt.
_CONTEMPT = dict(zip(_SEVEN, (47, 27, 20, 3, 12, 2, 8), strict=True))
_WEIGHTS = {("ferplus8", "fer7"): {"contempt": _CONTEMPT}}


def get_schema(name: str) -> LabelSchema:
    """Returns a known schema by name.

    Raises:
        ConfigError: If there is none of that name.

    >>> get_schema("hes3").labels
    ('angry', 'happy', 'sad')
    """
    try:
        return SCHEMAS[name]
    except KeyError:
        raise ConfigError(f"no label schema {name!r}." + suggest(name, SCHEMAS)) from None


def as_schema(labels: str | LabelSchema | None) -> LabelSchema | None:
    """Returns the schema that a ``labels`` argument names or lists; None stays None.

    Raises:
        ConfigError: If it is no known name, no list and no schema.

    >>> as_schema("hes3").labels, as_schema("happy,sad").labels
    (('angry', 'happy', 'sad'), ('happy', 'sad'))
    """
    if labels is None or isinstance(labels, LabelSchema):
        return labels
    if isinstance(labels, str):
        return _listed_schema(labels) if "," in labels else get_schema(labels)
    raise ConfigError(
        f"labels must be the name of a schema or a LabelSchema; got {labels!r}",
        hint="For labels of your own: LabelSchema('mine', ('happy', 'sad')).",
    )


def _listed_schema(text: str) -> LabelSchema:
    """Returns the schema of labels in a list with commas, with the aliases of those known."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    known = {name: FERPLUS8.labels[FERPLUS8.index(name)] for name in names if name in FERPLUS8}
    aliases = {name: (label, *ALIASES[label]) for name, label in known.items()}
    return LabelSchema("custom", names, aliases)


def find_label(text: str, schema: LabelSchema) -> int | None:
    """Returns the class id of a label, an alias, or a spelling of :data:`ALIASES`.

    None where the schema has no such label, or several that are spellings of one another.

    >>> find_label("joy", LabelSchema("own", ("happy", "bored")))
    0
    """
    if text in schema:
        return schema.index(text)
    if text not in FERPLUS8:
        return None
    meant = FERPLUS8.index(text)
    hits = [
        class_id
        for class_id, label in enumerate(schema.labels)
        if label in FERPLUS8 and FERPLUS8.index(label) == meant
    ]
    return hits[0] if len(hits) == 1 else None


def unknown_label(name: str, known: Iterable[str]) -> str:
    """Returns what to do about a label that is none of those known."""
    close = difflib.get_close_matches(fold_label(name), list(known), 1)
    meant = close[0] if close else "LABEL"
    return f"{suggest(name, known)} To read it as another: --label-map {name}={meant}".strip()


def spelling_remark(schema: LabelSchema) -> str:
    """Returns a sentence on labels of one's own that are numbers, or nearly known ones, or ''."""
    if schema.name in SCHEMAS:
        return ""
    if all(label.isdecimal() for label in schema.labels):
        return f"the labels are numbers: name them, --label-map {schema.labels[0]}=LABEL,..."
    known = [name for label, names in ALIASES.items() for name in (label, *names) if len(name) > 2]
    near = [
        f"{label}={close[0]}"
        for label in schema.labels
        if label not in FERPLUS8
        and (close := difflib.get_close_matches(fold_label(label), known, 1, 0.8))
    ]
    if not near:
        return ""
    return f"labels that may be misspelled: to read them as others, --label-map {','.join(near)}."


def mapping_matrix(source: LabelSchema, target: LabelSchema) -> F64:
    """Returns where each source label goes, as shares of the target labels.

    Labels meet by name or alias. A source label that the target lacks goes where measured shares
    send it, or nowhere (a row of zeros); a target label that no source label reaches is a column
    of zeros and gets probability 0.

    Args:
        source: Schema with K labels.
        target: Schema with L labels.

    Returns:
        Array (K, L), rows summing to 1 or 0.

    Raises:
        ConfigError: If the two schemas have no label in common.
    """
    # Measured between two known schemas: one that merely has the name has other labels.
    known = SCHEMAS.get(source.name) == source and SCHEMAS.get(target.name) == target
    weights = _WEIGHTS.get((source.name, target.name), {}) if known else {}
    matrix = np.zeros((len(source), len(target)))
    for row, label in enumerate(source.labels):
        spellings = (label, *source.aliases.get(label, ()))
        hits = {target.index(spelling) for spelling in spellings if spelling in target}
        if len(hits) > 1:
            names = ", ".join(target.labels[hit] for hit in sorted(hits))
            raise ConfigError(
                f"of schema {source.name!r} is more than one label of {target.name!r} "
                f"({names}): rename or drop an alias",
                subject=f"{label!r}",
            )
        if hits:
            matrix[row, hits.pop()] = 1.0
        for name, weight in weights.get(label, {}).items():
            matrix[row, target.index(name)] = weight / sum(weights[label].values())
    if not matrix.any():
        raise ConfigError(
            f"schemas {source.name!r} ({', '.join(source.labels)}) and {target.name!r} "
            f"({', '.join(target.labels)}) have no label in common",
            hint=f"To read labels as others: --label-map {target.labels[0]}={source.labels[0]},...",
        )
    return matrix


def map_probs(probs: Floats, source: LabelSchema, target: LabelSchema) -> F64:
    """Maps probabilities from one schema to another.

    What goes to labels that the target lacks is left out and the rest scaled to sum to 1: the
    answer is then "which of these, given that it is one of these". Where nothing remains, every
    target label gets the same probability.

    Args:
        probs: (N, K) with rows summing to 1, in the order of ``source``.
        source: Schema of ``probs``.
        target: Schema wanted, with L labels.

    Returns:
        Array (N, L), rows summing to 1.

    Raises:
        ConfigError: If the schemas have no label in common.
        DataError: If ``probs`` has not one column for each label of ``source``.

    >>> probs = np.array([[0.5, 0.1, 0.0, 0.1, 0.3, 0.0, 0.0, 0.0]])
    >>> map_probs(probs, FERPLUS8, HES3).round(2).tolist()
    [[0.6, 0.2, 0.2]]
    """
    given = np.asarray(probs, dtype=np.float64)
    if given.ndim != 2 or given.shape[1] != len(source):
        raise DataError(
            f"schema {source.name!r} needs probabilities of shape (N, {len(source)}); "
            f"got {given.shape}."
        )
    if source == target:
        return given
    mapped = given @ mapping_matrix(source, target)
    total = mapped.sum(axis=1, keepdims=True)
    uniform = np.full_like(mapped, 1.0 / len(target))
    return np.where(total > 1e-9, mapped / np.maximum(total, 1e-9), uniform)
