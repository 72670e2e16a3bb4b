"""Dataset specs (``KIND:PATH[,key=value...]``) and the readers they name."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.config import knows
from mien.errors import ConfigError, DataError, suggest
from mien.labels import LabelSchema, as_schema, fold_label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mien.data.manifest import Manifest

#: Options that every dataset may have: what it is called among several, its terms, how its labels
#: are read (label_map=OLD:NEW|OLD:NEW), and what a damaged picture does (on_error=stop).
SOURCE_OPTIONS = ("name", "weight", "license", "label_map", "on_error")
# Two characters or more, so that the C of C:\faces is no kind.
_KIND = re.compile(r"([A-Za-z][A-Za-z0-9_+-]+):(.+)", re.DOTALL)
# A value holds no separator of paths or options, so that /a,b=c/d stays one path.
_OPTION = re.compile(r"(.+),\s*([A-Za-z_][A-Za-z0-9_-]*)=([^,=/\\]*)", re.DOTALL)


@dataclass(frozen=True)
class ReadRequest:
    """What a reader shall read, and how.

    Args:
        spec: The whole spec, for messages and ``Manifest.source``.
        path: The path in it.
        options: The ``key=value`` pairs in it; keys are known to the reader.
        labels: Schema of the labels wanted, or None to take them from the data.
        valid_share: Share of the pictures to put into valid where the data has no splits.
        seed: Seed of that split.
        held_out: Keys of the pictures that runs did not learn from, by run: they become valid
            where the data has no splits.
        as_is: Keep all copies, make no split, and do not warn of either.
        label_map: The labels that others are read as, by the form of
            :func:`mien.labels.fold_label`.
    """

    spec: str
    path: Path
    options: Mapping[str, str] = field(default_factory=dict)
    labels: LabelSchema | None = None
    valid_share: float = 0.1
    seed: int = 0
    held_out: Mapping[str, frozenset[str]] = field(default_factory=dict)
    as_is: bool = False
    label_map: Mapping[str, str] = field(default_factory=dict)

    def rename(self, label: str) -> str:
        """Returns what a label of the data is read as."""
        return self.label_map.get(fold_label(label), label)

    def choice(self, key: str, *values: str) -> str:
        """Returns the value of an option; the first of ``values`` is the default.

        Raises:
            ConfigError: If it is none of ``values``.
        """
        given = self.options.get(key, values[0])
        if given not in values:
            reason = f"has {key}={given}; it must be one of {', '.join(values)}"
            raise ConfigError(reason, subject=self.spec, hint=suggest(given, values))
        return given

    def flag(self, key: str, *, default: bool) -> bool:
        """Returns a ``true`` / ``false`` option.

        Raises:
            ConfigError: If it is neither.
        """
        order = ("true", "false") if default else ("false", "true")
        return self.choice(key, *order) == "true"

    def expect(self, schema: LabelSchema, hint: str = "Leave the labels out.") -> LabelSchema:
        """Returns the schema that a dataset always has.

        Raises:
            ConfigError: If other labels are wanted.
        """
        if self.labels is not None and self.labels != schema:
            reason = (
                f"has the labels of {schema.name!r} and cannot be read with {self.labels.name!r}"
            )
            raise ConfigError(reason, subject=self.spec, hint=hint)
        return schema


Reader = Callable[[ReadRequest], "Manifest"]


@dataclass(frozen=True)
class _Entry:
    read: Reader
    options: tuple[str, ...]
    patterns: bool = False
    remote: bool = False


READERS: dict[str, _Entry] = {}


def register_reader(
    kind: str, *, options: tuple[str, ...] = (), patterns: bool = False, remote: bool = False
) -> Callable[[Reader], Reader]:
    """Makes a function the reader of ``KIND:PATH`` specs.

    Args:
        kind: The word before the colon: lower case, two letters or more.
        options: Keys that may follow the path as ``,key=value``.
        patterns: The path may hold a brace, as in ``{00..09}.tar``, which the reader resolves.
        remote: The path need not exist here, as in ``hf:ORG/NAME``.

    Raises:
        ConfigError: If the kind is taken or misspelt.
    """
    if not _KIND.fullmatch(f"{kind}:x") or kind != kind.lower():
        hint = "Take two lower-case letters or more."
        raise ConfigError("cannot name a reader", subject=repr(kind), hint=hint)
    if kind in READERS:
        hint = "Choose another name."
        raise ConfigError("has a reader already", subject=f"the kind {kind!r}", hint=hint)

    def register(read: Reader) -> Reader:
        READERS[kind] = _Entry(read, options, patterns, remote)
        return read

    return register


def read_spec(
    spec: str | Sequence[str], labels: str | LabelSchema | None, **how: Any
) -> tuple[Manifest, ReadRequest]:
    """Reads a dataset; ``how`` are further fields of the request."""
    spec = one_spec(spec)
    kind, path, options = parse_spec(spec)
    label_map = _label_map(options.get("label_map", ""), spec)
    request = ReadRequest(spec, path, options, as_schema(labels), label_map=label_map, **how)
    stops = request.choice("on_error", "continue", "stop") == "stop"
    manifest = READERS[kind].read(request)
    return replace(manifest, on_error="stop") if stops else manifest, request


def _label_map(text: str, spec: str) -> dict[str, str]:
    pairs = [part.split(":") for part in text.split("|") if part]
    if any(len(pair) != 2 or not all(map(str.strip, pair)) for pair in pairs):
        reason = f"has label_map={text}; it must be OLD:NEW, or several with | between them"
        raise ConfigError(reason, subject=spec)
    return {fold_label(old): new.strip() for old, new in pairs}


def map_labels(specs: Sequence[str], text: str) -> list[str]:
    """Returns the specs of datasets whose labels are read as others.

    >>> map_labels(["folder:faces"], "1=surprise,2=fear")
    ['folder:faces,label_map=1:surprise|2:fear']
    """
    pairs = [part.split("=") for part in text.split(",") if part.strip()]
    if not pairs or any(len(pair) != 2 or not all(map(str.strip, pair)) for pair in pairs):
        raise ConfigError(f"must be OLD=NEW,OLD=NEW; got {text!r}", subject="--label-map")
    told = "|".join(f"{old.strip()}:{new.strip()}" for old, new in pairs)
    if told.count(":") != len(pairs) or told.count("|") != len(pairs) - 1:
        raise ConfigError("cannot name a label with : or | in it", subject="--label-map")
    return [f"{spec},label_map={told}" for spec in specs]


def open_for_inspection(
    spec: str | Sequence[str], *, labels: str | LabelSchema | None = None
) -> tuple[Manifest, ReadRequest]:
    """Reads a dataset with everything in it: copies are not removed and no split is made up.

    Args:
        spec: ``KIND:PATH[,key=value...]``; copies stay unless it has ``dedupe=true``.
        labels: Name of a label schema, or a schema, to read it with; None: the data's own.

    Raises:
        ConfigError: If the kind or an option is unknown or impossible.
        DataError: If the path does not exist or the data does not add up.
        MissingExtraError: If the reader needs a library that is not installed.
    """
    return read_spec(spec, labels, valid_share=0.0, as_is=True)


def one_spec(specs: str | Sequence[str]) -> str:
    """Returns the spec of the one dataset that is meant.

    Raises:
        ConfigError: If there are several, or none.
    """
    if isinstance(specs, str):
        return specs
    if len(specs) != 1:
        many = "train, tune, evaluate, compare, ensemble, calibrate, export and data inspect"
        hint = f"Give them one by one; those that take several at once are {many}."
        reason = f"are {len(specs)} datasets where one is read"
        raise ConfigError(reason, subject=" and ".join(specs) or "-d", hint=hint)
    return specs[0]


def parse_spec(spec: str | Sequence[str]) -> tuple[str, Path, dict[str, str]]:
    """Splits a spec into kind, path and options.

    A path that exists as it stands is never cut, whatever commas it holds.

    >>> kind, path, options = parse_spec("folder:.,dedupe=false")
    >>> kind, str(path), options
    ('folder', '.', {'dedupe': 'false'})
    """
    spec = one_spec(spec)
    named = _KIND.fullmatch(spec)
    kind, rest = (named[1].lower(), named[2]) if named else ("", spec)
    if kind and not knows(READERS, kind) and _exists(_cut_options(spec)[0]):
        kind, rest = "", spec
    if kind and kind not in READERS:
        reason = f"names the kind {kind!r}, which no reader has"
        raise ConfigError(reason, subject=spec, hint=_kinds(kind))
    text, options = _cut_options(rest)
    path = Path(os.path.expanduser(text))  # noqa: PTH111 (keeps an unknown ~user)
    reader = READERS.get(kind)
    elsewhere = reader is not None and (reader.remote or (reader.patterns and "{" in text))
    if not elsewhere and not _exists(text):
        from mien.images.source import address_of

        if address := address_of(text):
            raise DataError("is an address, not a file", subject=address, hint="Fetch it first.")
        shape = "" if kind else " A dataset is KIND:PATH or a path that exists." + _kinds("")
        raise DataError(f"there is no {path}", hint=f"Check the spelling of {spec!r}.{shape}")
    kind = kind or _kind_of(path, spec)
    for key in options:
        if key not in (known := (*READERS[kind].options, *SOURCE_OPTIONS)):
            reason = f"has the option {key!r}, which {kind} datasets do not have"
            raise ConfigError(reason, subject=spec, hint=suggest(key, known))
    return kind, path, options


def _exists(text: str) -> bool:
    return os.path.exists(os.path.expanduser(text))  # noqa: PTH110, PTH111 (never raises)


def place_of(spec: str) -> str:
    """Returns the absolute path in a spec, which need not exist."""
    named = _KIND.fullmatch(spec)
    text = _cut_options(named[2] if named else spec)[0]
    return os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111 (keeps ~user)


def _cut_options(text: str) -> tuple[str, dict[str, str]]:
    options: dict[str, str] = {}
    while not _exists(text) and (match := _OPTION.fullmatch(text)):
        text = match[1]
        options = {match[2]: match[3].strip(), **options}
    return text, options


def _kinds(given: str) -> str:
    hint = suggest(given, READERS) if given else ""
    listed = f" Known: {', '.join(sorted(READERS))}."
    return hint if hint == listed else hint + listed


def _kind_of(path: Path, spec: str) -> str:
    kind = "folder" if path.is_dir() else path.suffix.lower().lstrip(".")
    if kind in READERS:
        return kind
    from mien.images.guard import guess_file

    reason = f"must be a folder, a .csv or a .parquet file; this one {guess_file(path)}"
    hint = "Name the kind before it, as in csv:faces.txt." + _kinds("")
    raise ConfigError(reason, subject=f"a path without a kind ({spec})", hint=hint)
