"""From pictures and the names of their labels to a manifest: what all readers share."""

from __future__ import annotations

import contextlib
import hashlib
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np

from mien.data.filenames import is_picture
from mien.data.manifest import Manifest
from mien.data.split import recorded_split, split_name, stratified_group_split
from mien.errors import DataError
from mien.labels import (
    FER7,
    FERPLUS8,
    HES3,
    LabelSchema,
    fold_label,
    spelling_remark,
    unknown_label,
)
from mien.reporting.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence
    from pathlib import Path

    from mien.arrays import F32, I64, Bools, Floats, Texts
    from mien.data.image_stores import ImageStore
    from mien.data.registry import ReadRequest

__all__ = ["assemble", "choose_schema", "class_id", "one_hot", "split_name"]

#: Schemas that names of classes are compared with, the smallest first.
KNOWN_SCHEMAS = (HES3, FER7, FERPLUS8)


def choose_schema(names: Iterable[str], where: str) -> LabelSchema:
    """Returns the smallest known schema that has all the names, else one made of them.

    A class that is missing from the data therefore never shifts the others: ``angry``, ``fear``
    and ``happy`` are read as three of the seven labels of ``fer7``.

    Args:
        names: Names of classes as the data spells them.
        where: What they were found in, for the message.

    Raises:
        DataError: If the names are of one class only.

    >>> choose_schema(["Happy", "sad"], "faces").name
    'hes3'
    >>> choose_schema(["smile", "grin", "frown"], "faces").labels
    ('frown', 'grin', 'smile')
    """
    unique = {fold_label(name): name.strip() for name in sorted(names, reverse=True)}
    for schema in KNOWN_SCHEMAS:
        if unique and all(name in schema for name in unique.values()):
            return schema
    if len(unique) < 2:
        listed = f"{len(unique)} class(es) ({', '.join(unique.values()) or 'none'})"
        raise DataError(f"has {listed}, but a classifier needs at least two", subject=where)
    return LabelSchema("custom", tuple(sorted(unique.values())))


def class_id(schema: LabelSchema, name: str, where: str) -> int:
    """Returns the class of a label or an alias, which was found in ``where``.

    Raises:
        DataError: If the schema lacks it.
    """
    if name not in schema:
        reason = f"has the label {name!r}, which is not in the schema {schema.name!r}"
        raise DataError(reason, subject=where, hint=unknown_label(name, schema.labels))
    return schema.index(name)


def check_files(
    root: Path, names: Sequence[str], hint: str = "", *, listed: Path | None = None
) -> None:
    """Makes sure that listed pictures are there."""
    missing = [name for name in names if not _is_file(root / name)]
    if missing:
        reason = (
            f"lists {len(names)} pictures, of which {len(missing)} are missing, such as "
            f"{', '.join(map(repr, missing[:3]))}"
        )
        raise DataError(reason, subject=listed or root, hint=_near(root / missing[0]) or hint)


def _near(path: Path) -> str:
    """Says which file has the name of a missing one but for its case or ending."""
    with contextlib.suppress(OSError):
        for found in sorted(path.parent.iterdir()):
            if found.stem.casefold() == path.stem.casefold() and is_picture(found.name):
                return f"There is {str(found)!r}: write names as the files have them."
    return ""


def with_slashes(root: Path, name: str) -> str:
    r"""Returns a file's name as this system reads it: ``train\x.jpg`` of Windows with slashes."""
    turned = name.replace("\\", "/")
    return turned if turned != name and not _is_file(root / name) else name


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for the system
        return False


def one_hot(class_ids: I64, schema: LabelSchema) -> F32:
    """Returns (N, K) targets of 0 and 1 for (N,) class ids of 0 or more."""
    return np.eye(len(schema), dtype=np.float32)[class_ids]


def label_matrix(names: Sequence[str], schema: LabelSchema) -> F32:
    """Returns (M, K) of 0 and 1: which label of the schema each of M names is."""
    return one_hot(np.array([schema.index(name) for name in names]), schema)


def assemble(  # noqa: PLR0913 - one call is all that a reader needs
    request: ReadRequest,
    images: ImageStore,
    labels: Sequence[str],
    *,
    schema: LabelSchema | None = None,
    targets: Floats | None = None,
    splits: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    told: Bools | bool = True,
    columns: Iterable[str] = (),
    keep: Bools | None = None,
    where: Callable[[int], str] | None = None,
    warnings: Iterable[str] = (),
) -> Manifest:
    """Makes a manifest of N pictures and their labels.

    Where there is no valid split, ``request.valid_share`` of train becomes it. Train pictures
    that are also in valid or test are removed unless the spec says ``dedupe=false``. Absent
    classes and shared groups are warned of.

    Args:
        request: What was asked of the reader.
        images: The N pictures.
        labels: N names of classes, as the data spells them; empty where no label has a majority,
            which needs ``targets``.
        schema: Their K labels; None: those wanted, else the smallest known schema that has them.
        targets: (N, K) shares of votes; None: one-hot.
        splits: N names of splits in any spelling; None: all is train.
        groups: N subjects or source pictures, which are never split; None: not known.
        told: bool (N,) or one for all: the groups are known to be shared, and are warned of if
            the given splits do not keep them apart.
        columns: Names of columns of votes, as the data spells them.
        keep: bool (N,), pictures to keep; leaks are looked for among all.
        where: Names a row in messages.
        warnings: Sentences of the reader; empty ones are dropped.

    Raises:
        DataError: If the data does not add up.
        ConfigError: If ``dedupe`` is neither true nor false.
    """
    place = where or (lambda _row: str(request.path))
    unused = request.label_map.keys() - {fold_label(name) for name in {*labels, *columns}}
    labels = [request.rename(name) for name in labels] if request.label_map else labels
    schema = schema or request.labels or choose_schema(set(labels) - {""}, str(request.path))
    ids = {name: class_id(schema, name, place(row)) for name, row in _firsts(labels)}
    if targets is not None:
        ids[""] = -1
    elif "" in labels:
        class_id(schema, "", place(list(labels).index("")))
    class_ids = np.array([ids[name] for name in labels], np.int64)
    found = [*warnings, spelling_remark(schema)]
    if unused:
        found.append(f"label_map names what no picture has: {', '.join(sorted(unused))}.")
    dealt, remark = _splits(request, images.key, class_ids, splits, groups, place)
    if groups is not None and splits is not None and not request.as_is:
        shown = np.flatnonzero(np.broadcast_to(told, len(class_ids)))
        found.append(_shared_groups(np.asarray(groups)[shown], dealt[shown]))
    found.append(remark)
    copies, leaked = find_leaks(images, dealt)
    keep = np.ones(len(class_ids), bool) if keep is None else keep
    remove = request.flag("dedupe", default=not request.as_is)
    if (copies & keep).any() and not request.as_is:
        end = "left out of train."
        if not remove:
            end = "kept in train (dedupe=false): scores on these are too good."
        count, others = int((copies & keep).sum()), int(leaked.sum())
        are = counted(count, "train picture is", "train pictures are")
        of = counted(others, "valid or test picture", "valid or test pictures")
        found.append(f"{are} byte-identical to {of} and {end}")
    shares = one_hot(class_ids, schema) if targets is None else targets
    absent = [label for k, label in enumerate(schema.labels) if not (shares[keep, k] > 0).any()]
    if absent:
        rest = [label for label in schema.labels if label not in absent]
        alone = f" For a model of the others alone: --labels {','.join(rest)}."
        none = f"no pictures of: {', '.join(absent)} (schema {schema.name!r})."
        found.append(none + alone * (len(rest) > 1 and request.labels is None))
    manifest = Manifest(
        request.spec, schema, images, shares.astype(np.float32), class_ids, dealt,
        None if groups is None else np.asarray(groups), leaked, tuple(filter(None, found)),
    )  # fmt: skip
    keep = keep & ~copies if remove else keep
    return manifest if keep.all() else manifest.select(keep)


def _firsts(labels: Sequence[str]) -> list[tuple[str, int]]:
    """Returns each name with the first row that has it, without the empty one."""
    firsts = {name: row for row, name in reversed(list(enumerate(labels)))}
    firsts.pop("", None)
    return sorted(firsts.items(), key=lambda pair: pair[1])


def _splits(
    request: ReadRequest,
    key: Callable[[int], str],
    class_ids: I64,
    given: Sequence[str] | None,
    groups: Sequence[str] | None,
    place: Callable[[int], str],
) -> tuple[Texts, str]:
    """Returns (N,) splits, the given ones or new ones, and a remark on the new ones."""
    splits = np.full(len(class_ids), "train")
    if given is not None:
        names = {name: split_name(name, place(row)) for name, row in _firsts(given)}
        splits = np.array([names.get(name) or split_name(name, place(0)) for name in given])
    train = splits == "train"
    if not request.valid_share or not train.any() or (splits == "valid").any():
        return splits, ""
    keys = [key(index) for index in np.flatnonzero(train).tolist()] if request.held_out else []
    known = recorded_split(keys, request.held_out, request.spec)
    if known is not None:
        splits[train] = np.where(known[0], "valid", "train")
        return splits, known[1]
    shares = {"train": 1 - request.valid_share, "valid": request.valid_share}
    inner = None if groups is None else np.asarray(groups)[train]
    splits[train] = stratified_group_split(class_ids[train], inner, shares, request.seed)
    return splits, (
        f"the data has no valid split: {int((splits == 'valid').sum())} pictures of train became "
        f"it (valid_share {request.valid_share:g}, seed {request.seed})."
    )


def find_leaks(images: ImageStore, splits: Texts) -> tuple[Bools, Bools]:
    """Returns (N,) masks of train pictures with a copy in valid or test, and of those copies.

    Only pictures whose size occurs in both are read, so that a large folder stays cheap.
    """
    train = splits == "train"
    sizes: list[Hashable] = [images.size(index) for index in range(len(images))]
    both = _in_both(sizes, train)
    contents: list[Hashable] = [
        hashlib.blake2b(images.read(index), digest_size=16).digest() if size in both else index
        for index, size in enumerate(sizes)
    ]
    both = _in_both(contents, train)
    shared = np.array([content in both for content in contents], np.bool_)
    return shared & train, shared & ~train


def _in_both(values: Sequence[Hashable], train: Bools) -> set[Hashable]:
    """Returns the values that occur in train and outside."""
    return set(compress(values, train)) & set(compress(values, ~train))


def _shared_groups(groups: Texts, splits: Texts) -> str:
    """Returns a sentence on groups in train and in valid or test, empty where there are none."""
    train = splits == "train"
    shared = int((~train & np.isin(groups, groups[train])).sum())
    if not shared:
        return ""
    return (
        f"{shared} valid or test pictures share a subject or source picture with train: scores on "
        "them tell little about new faces. Split by group to be sure."
    )
