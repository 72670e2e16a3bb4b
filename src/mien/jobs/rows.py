"""Rows of Hugging Face datasets as pictures of a job: ``hf:ORG/NAME#SPLIT/ROW``.

A dataset is named as for training: ``hf:ORG/NAME``, or a folder that ``save_to_disk`` wrote, and
behind commas ``split=``, ``config=``, ``revision=`` and ``image=``. Each process opens it once; its
tables stay on disk.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import DataError, InputError, MienError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SCHEME = "hf:"


def is_dataset(word: str) -> bool:
    """Whether a word is a dataset, or a row of one, rather than a path or an address.

    >>> is_dataset("hf:org/faces"), is_dataset("hf/faces")
    (True, False)
    """
    return word.startswith(_SCHEME)


def absolute(word: str) -> str:
    """Returns the word with the whole path, where its dataset is a folder here."""
    path = Path(word.removeprefix(_SCHEME).partition(",")[0])
    _, comma, options = word.partition(",")
    return f"{_SCHEME}{path.resolve()}{comma}{options}" if path.is_dir() else word


def fingerprint(word: str) -> str:
    """Returns what changes with the dataset's content; DataError if it cannot be opened."""
    return ",".join(f"{split}={rows._fingerprint}" for split, rows in _open(word).items())


def list_rows(word: str) -> Iterator[str]:
    """Yields the name of each row, split by split."""
    for split, rows in _open(word).items():
        yield from (f"{word}#{split}/{row}" for row in range(len(rows)))


def read_row(name: str) -> bytes | InputError:
    """Returns the bytes of a row's picture, or why there are none."""
    word, _, place = name.rpartition("#")
    split, _, row = place.rpartition("/")
    try:
        picture = next(iter(_open(word)[split][int(row)].values())) or {}
        data = picture.get("bytes")
        if data is not None:
            return bytes(data)
        if not (path := picture.get("path")):
            return InputError("holds no picture", subject=name)
        return Path(path).read_bytes()
    except OSError as error:
        return InputError(f"cannot be read: {error.strerror or error}", subject=name)
    except MienError as error:
        return InputError(error.reason, subject=name, hint=error.hint)


@lru_cache(maxsize=4)
def _open(word: str) -> dict[str, Any]:
    """Returns the splits by name, of each only the column of the encoded pictures."""
    from mien.data.readers.parquetfile import load_splits
    from mien.data.registry import ReadRequest, parse_spec

    _, path, options = parse_spec(word)
    splits = load_splits(ReadRequest(word, path, options))
    import datasets

    found = {}
    for split, rows in splits.items():
        kinds = {name: kind for name, kind in rows.features.items() if _is_image(kind)}
        column = options.get("image") or next(iter(kinds), "image")
        if column not in kinds:
            reason = f"has no column {column!r} of pictures; it has {', '.join(kinds) or 'none'}"
            raise DataError(reason, subject=word, hint="Name it with ,image=COLUMN.")
        undecoded = rows.select_columns([column]).cast_column(column, datasets.Image(decode=False))
        found[split] = undecoded
    return found


def _is_image(kind: Any) -> bool:
    return type(kind).__name__ == "Image"
