"""What the readers of folders, CSV and Parquet files share: labels, splits and copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.data.duplicates import find_leaks, picture_contents, removal_warning
from mien.data.manifest import SPLIT_NAMES, Manifest
from mien.data.split import stratified_group_split
from mien.errors import DataError, suggest
from mien.labels import FER7, FERPLUS8, HES3, LabelSchema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from mien.data.registry import ReadRequest
    from mien.data.stores import SizedImages

#: Schemas that names of classes are compared with, the smallest first.
_KNOWN = (HES3, FER7, FERPLUS8)


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
    unique = {_spelling(name): name.strip() for name in sorted(names, reverse=True)}
    for schema in _KNOWN:
        if unique and all(name in schema for name in unique.values()):
            return schema
    if len(unique) < 2:
        raise DataError(
            (
                f"has {len(unique)} class(es) ({', '.join(unique.values()) or 'none'}), but a "
                "classifier needs at least two"
            ),
            subject=where,
        )
    return LabelSchema("custom", tuple(sorted(unique.values())))


def _spelling(name: str) -> str:
    return name.strip().casefold().replace("_", " ")


def class_id(schema: LabelSchema, name: str, where: str) -> int:
    """Returns the class of a name.

    Raises:
        DataError: If the schema lacks it; says where it stands.
    """
    if name not in schema:
        raise DataError(
            f"{where}: {name!r} is not a label of schema {schema.name!r}."
            + suggest(name, schema.labels)
        )
    return schema.index(name)


def split_name(name: str, where: str) -> str:
    """Returns ``train``, ``valid`` or ``test`` for any of their spellings.

    Raises:
        DataError: If it is none; says where it stands.
    """
    found = SPLIT_NAMES.get(name.strip().casefold())
    if found is None:
        raise DataError(f"{where}: {name!r} is no split." + suggest(name, SPLIT_NAMES))
    return found


def one_hot(class_ids: NDArray[np.int64], schema: LabelSchema) -> NDArray[np.float32]:
    """Returns (N, K) targets of 0 and 1 for (N,) class ids of 0 or more."""
    return np.eye(len(schema), dtype=np.float32)[class_ids]


def assemble(
    request: ReadRequest,
    *,
    schema: LabelSchema,
    images: SizedImages,
    targets: NDArray[np.float32],
    class_ids: NDArray[np.int64],
    splits: NDArray[np.str_] | None,
    groups: NDArray[np.str_] | None,
    warnings: Iterable[str] = (),
) -> Manifest:
    """Splits what has no splits, deals with copies across splits, and warns of absent classes.

    Where there is no valid split, ``request.valid_share`` of train becomes it. Train pictures
    that also stand in valid or test are removed unless the spec says ``dedupe=false``.

    Raises:
        DataError: If the data does not add up.
        ConfigError: If ``dedupe`` is neither true nor false.
    """
    said = [warning for warning in warnings if warning]
    splits = np.full(len(images), "train") if splits is None else splits
    train = splits == "train"
    if request.valid_share > 0 and train.any() and not (splits == "valid").any():
        shares = {"train": 1 - request.valid_share, "valid": request.valid_share}
        inner = None if groups is None else groups[train]
        splits = splits.copy()
        splits[train] = stratified_group_split(class_ids[train], inner, shares, request.seed)
        said.append(
            f"the data has no valid split: {int((splits == 'valid').sum())} pictures of train "
            f"became it (valid_share {request.valid_share:g}, seed {request.seed})."
        )
    copies, leaked = find_leaks(picture_contents(images, splits), splits)
    remove = request.flag("dedupe", default=True)
    said.append(removal_warning(copies, leaked, removed=remove))
    absent = [label for k, label in enumerate(schema.labels) if not (targets[:, k] > 0).any()]
    if absent:
        said.append(f"no pictures of: {', '.join(absent)} (schema {schema.name!r}).")
    manifest = Manifest(
        request.spec,
        schema,
        images,
        targets,
        class_ids,
        splits,
        groups,
        leaked,
        tuple(warning for warning in said if warning),
    )
    return manifest.select(~copies) if remove and copies.any() else manifest
