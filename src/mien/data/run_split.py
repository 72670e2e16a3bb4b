"""Who was in the valid split of a run: recorded with it, and used by whatever scores it later.

Data without a split of its own is dealt by a seed. A run that was trained with another seed than
the one it is scored with would be scored on faces that it has learned.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.atomic import write_text
from mien.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from mien.data.manifest import Manifest

SPLIT = "split.json"
_LOG = logging.getLogger(__name__)


def write_split(folder: Path, valid: Manifest, *, seed: int, **more: Any) -> None:
    """Writes who was in valid into a run directory.

    Args:
        folder: The run directory.
        valid: The faces that the run did not learn from.
        seed: The seed that dealt them, where the data had no split of its own.
        **more: Further plain JSON values to keep with it.
    """
    keys = [valid.images.key(index) for index in range(len(valid))]
    record = {"data": valid.source, "seed": seed, **more, "valid": keys}
    write_text(folder / SPLIT, json.dumps(record, indent=1) + "\n")


def read_held_out(runs: Iterable[str | Path]) -> dict[str, frozenset[str]]:
    """Reads which pictures runs held out: keys by name of the run, of those that recorded it.

    Args:
        runs: Run directories, or networks in one; other names, such as that of a bundled model,
            have no record.

    Raises:
        DataError: If a record is damaged.
    """
    found = {}
    for run in runs:
        folder = Path(run).parent if Path(run).is_file() else Path(run)
        path = folder / SPLIT
        if not path.is_file():
            continue
        try:
            found[folder.name] = frozenset(map(str, json.loads(path.read_bytes())["valid"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"cannot be read: {error}",
                subject=path,
                hint="Restore it, or delete it and score the run on data with its own splits.",
            ) from error
    return found


def recorded_split(
    keys: Sequence[str], held_out: Mapping[str, frozenset[str]], source: str
) -> tuple[NDArray[np.bool_], str] | None:
    """Finds the pictures that none of some runs learned from.

    Args:
        keys: Keys of N pictures, the train split of data that has no valid split.
        held_out: See :func:`read_held_out`.
        source: Name of the data, for the message.

    Returns:
        Bool (N,) and a sentence that says so; None where no run knows these pictures.

    Raises:
        DataError: If each picture was learned by one of the runs.
    """
    masks = {
        name: np.fromiter((key in known for key in keys), np.bool_, len(keys))
        for name, known in held_out.items()
    }
    masks = {name: mask for name, mask in masks.items() if mask.any()}
    if not masks:
        return None
    chosen = np.logical_and.reduce(list(masks.values()))
    if not chosen.any():
        raise DataError(
            f"the runs {', '.join(masks)} held out different faces, so that each face was learned "
            "by one of them",
            subject=source,
            hint="Give data with a valid split of its own.",
        )
    remark = (
        f"the data has no valid split: the {int(chosen.sum())} pictures that {', '.join(masks)} "
        f"did not learn from became it ({SPLIT})."
    )
    _LOG.warning("note: %s: %s", source, remark)
    return chosen, remark
