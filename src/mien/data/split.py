"""The splits of a dataset: their names, how pictures are dealt to them, and those of runs.

Data without a split of its own is dealt by a seed. A run that was trained with another seed than
the one it is scored with would be scored on faces that it has learned: a run records who was in
valid, and whatever scores it later uses that.
"""

from __future__ import annotations

import json
import logging
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.atomic import write_text
from mien.data.registry import place_of
from mien.data.sources import parse_sources, specs_of
from mien.errors import ConfigError, DataError, suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mien.arrays import F64, I64, Bools, Texts
    from mien.data.manifest import Manifest

#: The file of a run that says who was in valid.
SPLIT = "split.json"
_LOG = logging.getLogger(__name__)

#: The splits of a dataset, in this order.
SPLITS = ("train", "valid", "test")

#: Every accepted spelling of a split and the split it means.
SPLIT_NAMES = {
    **{name: name for name in SPLITS},
    "training": "train",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "testing": "test",
    # FER2013's own names
    "publictest": "valid",
    "privatetest": "test",
}
_ROUNDS = 10
# train-00000-of-00001, validation, test_2
_FILE_SPLIT = re.compile(r"([a-z]+)(?:[-_.]?\d.*)?", re.IGNORECASE)


def file_split(stem: str) -> str | None:
    """Returns the split that the name of a file tells, None if it tells none.

    >>> file_split("validation-00000-of-00001"), file_split("faces")
    ('valid', None)
    """
    match = _FILE_SPLIT.fullmatch(stem)
    return SPLIT_NAMES.get(match[1].lower()) if match else None


def split_name(name: str, where: str) -> str:
    """Returns ``train``, ``valid`` or ``test`` for any of their spellings.

    Args:
        name: The spelling.
        where: What it was found in, for the message.

    Raises:
        DataError: If it is none.
    """
    found = SPLIT_NAMES.get(name.strip().casefold())
    if found is None:
        reason = f"has the split {name!r}, which is none"
        raise DataError(reason, subject=where, hint=suggest(name, SPLIT_NAMES))
    return found


def stratified_group_split(
    class_ids: I64, groups: Texts | None, shares: Mapping[str, float], seed: int
) -> Texts:
    """Deals pictures out to splits so that each has its share of every class.

    Groups, or single pictures, are dealt whole, those of the rarest class first and large ones
    before small ones, each to the split that lacks most of its classes. Then a class that is absent
    from a split gets a group there, as long as that takes no class from another split. ``shares``
    sum to 1; -1 (no majority) is balanced like a class; equal arguments give equal splits.

    >>> ids = np.array([0, 0, 0, 1, 1, 1])
    >>> names = np.array(["ann", "ann", "bob", "cy", "cy", "dan"])
    >>> stratified_group_split(ids, names, {"train": 0.7, "valid": 0.3}, seed=0).tolist()
    ['train', 'train', 'valid', 'train', 'train', 'valid']
    """
    check_shares(shares)
    members = np.arange(len(class_ids)) if groups is None else np.asarray(groups)
    if members.shape != np.shape(class_ids):
        raise DataError(
            f"class_ids and groups must be of one length, got {len(class_ids)} and {len(members)}"
        )
    _, columns = np.unique(class_ids, return_inverse=True)
    _, rows = np.unique(members, return_inverse=True)
    if not len(rows):
        return np.empty(0, dtype=np.str_)
    counts = np.zeros((rows.max() + 1, columns.max() + 1), dtype=np.int64)
    np.add.at(counts, (rows, columns), 1)
    names = [name for name, share in shares.items() if share > 0]
    wanted = np.array([shares[name] for name in names])
    dealt = _deal(counts, wanted, np.random.default_rng(seed))
    _fill_gaps(counts, wanted, dealt)
    return np.array(names)[dealt][rows]


def grouped_folds(
    class_ids: I64, groups: Texts | None = None, *, folds: int = 5, seed: int = 0
) -> I64:
    """Deals N faces into folds of about equal size and classes; a group lies in one fold.

    >>> np.bincount(grouped_folds(np.array([0, 1] * 6), folds=3)).tolist()
    [4, 4, 4]
    """
    if folds < 2:
        raise ConfigError(f"cross-validation needs 2 folds or more; got {folds}.")
    count = len(class_ids) if groups is None else len(np.unique(groups))
    if count < folds:
        reason = f"group(s) of faces cannot be dealt into {folds} folds: give fewer folds"
        raise DataError(reason, subject=count)
    names = [f"{fold:03}" for fold in range(folds)]
    dealt = stratified_group_split(class_ids, groups, dict.fromkeys(names, 1.0 / folds), seed)
    return dealt.astype(np.int64)


def check_shares(shares: Mapping[str, float], subject: str = "the shares of the splits") -> None:
    """Refuses shares that are negative or do not sum to 1."""
    total = sum(shares.values())
    if min(shares.values(), default=-1) < 0 or not math.isclose(total, 1.0, abs_tol=1e-6):
        raise ConfigError(f"must be 0 or more and sum to 1, got {dict(shares)}", subject=subject)


def _deal(counts: I64, wanted: F64, rng: np.random.Generator) -> I64:
    """Returns the split of each of G groups, of (G, K) pictures by group and class."""
    totals = counts.sum(axis=0)
    lacking = (wanted[:, None] * totals).tolist()
    # The rarest class in a group decides when it is dealt: few groups can make up for it.
    rarity = np.where(counts > 0, totals, totals.max() + 1).min(axis=1)
    shuffled = rng.permutation(len(counts))
    order = shuffled[np.lexsort((-counts.sum(axis=1)[shuffled], rarity[shuffled]))]
    inside = [[(int(k), int(row[k])) for k in np.flatnonzero(row)] for row in counts]
    weight = (1.0 / totals).tolist()
    dealt = np.full(len(counts), -1, dtype=np.int64)
    # Later rounds take each group up and deal it again, until all lie where they fit best.
    for _ in range(_ROUNDS):
        before = dealt.copy()
        for group in order.tolist():
            if dealt[group] >= 0:
                for k, n in inside[group]:
                    lacking[dealt[group]][k] += n
            needs = [sum(n * weight[k] * row[k] for k, n in inside[group]) for row in lacking]
            split = max(range(len(needs)), key=lambda s: (round(needs[s], 9), wanted[s], -s))
            dealt[group] = split
            for k, n in inside[group]:
                lacking[split][k] -= n
        if (dealt == before).all():
            break
    return dealt


def _fill_gaps(counts: I64, wanted: F64, dealt: I64) -> None:
    """Moves groups (in place) until every class is in every split, where that can be."""
    splits = np.argsort(-wanted, kind="stable")
    have = np.stack([counts[dealt == s].sum(axis=0) for s in range(len(wanted))])
    for k in np.argsort(counts.sum(axis=0), kind="stable"):
        for split in splits:
            if have[split, k]:
                continue
            candidates = np.flatnonzero(counts[:, k])
            spared = have[dealt[candidates]] - counts[candidates]
            spare = ((spared > 0) | (counts[candidates] == 0)).all(axis=1)
            candidates = candidates[spare]
            if not len(candidates):
                continue
            group = candidates[np.argmin(counts[candidates].sum(axis=1))]
            have[dealt[group]] -= counts[group]
            have[split] += counts[group]
            dealt[group] = split


def write_split(folder: Path, valid: Manifest, *, seed: int, **more: Any) -> None:
    """Writes who was in ``valid`` into a run directory, with plain JSON values of ``more``.

    ``seed`` dealt them, where the data had no split of its own.
    """
    keys = [valid.images.key(index) for index in range(len(valid))]
    data = specs_of(valid)
    if valid.sources is not None:
        more["sources"] = [source.name for source in parse_sources(data)]
    record = {"data": data, "seed": seed, **more, "valid": keys}
    write_text(folder / SPLIT, json.dumps(record, indent=1) + "\n")


def read_held_out(
    runs: Iterable[str | Path], name: str = "", spec: str = ""
) -> dict[str, frozenset[str]]:
    """Reads which pictures runs held out: keys by name of the run, of those that recorded it.

    Of a run of several datasets those of one are meant: in the place of ``spec``, or of that
    ``name``; where there is no such, of all of them, since the data may have moved.

    A run is a directory, or a network in one; other names, such as that of a bundled model, have no
    record. A damaged one is a ``DataError``.
    """
    found = {}
    for run in runs:
        folder = Path(run).parent if Path(run).is_file() else Path(run)
        path = folder / SPLIT
        if not path.is_file():
            continue
        try:
            found[folder.name] = _held_keys(json.loads(path.read_bytes()), name, spec)
        except (OSError, ValueError, KeyError, TypeError) as error:
            hint = "Restore it, or delete it and score the run on data with its own splits."
            raise DataError(f"cannot be read: {error}", subject=path, hint=hint) from error
    return found


def _held_keys(record: dict[str, Any], name: str, spec: str) -> frozenset[str]:
    """Returns the keys that a record holds out, as a dataset by itself has them."""
    keys = map(str, record["valid"])
    if "sources" not in record:
        return frozenset(keys)
    known = dict(zip(record["sources"], record["data"], strict=True))
    here = {one for one, its in known.items() if spec and place_of(its) == place_of(spec)}
    meant = here or {name} & set(known) or set(known)
    return frozenset(rest for one, _, rest in (key.partition("/") for key in keys) if one in meant)


def recorded_split(
    keys: Sequence[str], held_out: Mapping[str, frozenset[str]], source: str
) -> tuple[Bools, str] | None:
    """Finds pictures that no run learned from, (N,), and says so; None where no run knows them."""
    masks = {
        name: np.fromiter((key in known for key in keys), np.bool_, len(keys))
        for name, known in held_out.items()
    }
    masks = {name: mask for name, mask in masks.items() if mask.any()}
    if not masks:
        return None
    chosen = np.logical_and.reduce(list(masks.values()))
    if not chosen.any():
        reason = (
            f"the runs {', '.join(masks)} held out different faces, so that each face was learned "
            "by one of them"
        )
        raise DataError(reason, subject=source, hint="Give data with a valid split of its own.")
    remark = (
        f"the data has no valid split: the {int(chosen.sum())} pictures that {', '.join(masks)} "
        f"did not learn from became it ({SPLIT})."
    )
    _LOG.warning("note: %s: %s", source, remark)
    return chosen, remark
