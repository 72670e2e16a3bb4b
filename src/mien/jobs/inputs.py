"""The input of a job as one stream of paths that is never held whole."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import ConfigError, InputError
from mien.hub import sha256
from mien.images import IMAGE_SUFFIXES, list_images
from mien.images.files import EMPTY_NAME, is_image_file
from mien.images.lists import LIST_SUFFIXES, read_list
from mien.jobs.rows import absolute, fingerprint, is_dataset, list_rows
from mien.jobs.stores import check_address, is_address, open_store, readable, store_answers
from mien.video import is_video_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_PICTURES = tuple(sorted(IMAGE_SUFFIXES))


def check_sources(words: Sequence[str]) -> list[str]:
    """Returns the sources as a job remembers them: absolute paths and addresses.

    A list file comes with the sha256 of its content: it is the list that counts; a dataset with
    its fingerprint.
    """
    if not words:
        hint = "Name a folder, an address such as s3://BUCKET/PREFIX, hf:DATASET, or a list.txt."
        raise InputError("no pictures", hint=hint)
    found = []
    for word in words:
        if word == "-":
            hint = "Write it to a file list.txt and name that."
            raise ConfigError("a list on stdin (-) is gone when the job is resumed", hint=hint)
        if not word.strip():
            raise InputError(EMPTY_NAME)
        if is_dataset(word):
            dataset = absolute(word)
            found.append(f"{dataset}#{fingerprint(dataset)}")
            continue
        if is_address(word):
            found.append(check_address(word))
            continue
        if is_video_name(word):
            hint = "Leave --engine out."
            raise ConfigError("is a clip, and a job is for photos", subject=word, hint=hint)
        path = _absolute_path(word)
        if not path.exists() and not any(mark in word for mark in "*?["):
            raise InputError(f"there is no file or folder {word!r}: check the path.")
        if _is_list(path):
            with readable(path):
                found.append(f"{path}#{sha256(path)}")
        else:
            found.append(str(path))
    return found


def list_sources(words: Sequence[str], left_out: Counter[str] | None = None) -> Iterator[str]:
    """Yields the absolute paths and addresses of pictures, in the same order every time.

    Folders are walked as by :func:`mien.images.list_images`, without names that start with a dot,
    but one folder at a time: memory does not grow with the number of pictures. Lines of a list
    are taken as they stand; relative ones count from the current folder. What folders hold besides
    is counted in ``left_out``, by ending.
    """
    left_out = Counter() if left_out is None else left_out
    for word in words:
        if is_dataset(word):
            yield from list_rows(absolute(word))
            continue
        if is_address(word):
            yield from _address(word, left_out)
            continue
        path = _absolute_path(word)
        if _is_list(path):
            yield from _lines(path)
        elif path.is_dir():
            yield from _folder(str(path), left_out)
        elif path.exists():
            yield str(path)
        else:
            yield from map(str, list_images(str(path)))


def _absolute_path(word: str) -> Path:
    return Path(os.path.abspath(os.path.expanduser(word)))  # noqa: PTH100, PTH111 - keeps ~user


def _is_list(path: Path) -> bool:
    return path.suffix.lower() in LIST_SUFFIXES and path.is_file()


def _walk(
    folders: Iterable[tuple[str, list[str], list[str]]],
    is_picture: Callable[[str], bool],
    left_out: Counter[str],
) -> Iterator[str]:
    """Yields the pictures of a walk in the same order every time; dotted folders are left out."""
    for folder, below, names in folders:
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            if name.startswith("."):
                continue
            path = f"{folder.rstrip('/')}/{name}"
            if is_picture(path):
                yield path
            else:
                left_out[os.path.splitext(name)[1] or name] += 1  # noqa: PTH122


def _is_named_picture(path: str) -> bool:
    return path.lower().endswith(_PICTURES)


def _is_picture(path: str) -> bool:
    """Tells whether a file is a picture; a link to one that is gone is a row with its error."""
    if is_image_file(path):
        return True
    return _is_named_picture(path) and os.path.islink(path)  # noqa: PTH114 - of millions


def _folder(folder: str, left_out: Counter[str]) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        reason = f"cannot be listed: {error.strerror or error}"
        raise InputError(reason, subject=f"{error.filename!r}") from error

    return _walk(os.walk(folder, onerror=refuse), _is_picture, left_out)


def _lines(path: Path) -> Iterator[str]:
    checked: set[str] = set()
    with readable(path), path.open("rb") as lines:
        for word in read_list(lines, path.parent):
            if not is_address(word):
                yield os.path.abspath(word)  # noqa: PTH100
                continue
            bucket = "/".join(word.split("/")[:3])
            if bucket not in checked:
                # Once per store: a wrong key is one error here, or a million rows later.
                checked.add(bucket)
                _check_access(check_address(word))
            yield word


def _check_access(address: str) -> None:
    system, path = open_store(address)
    with store_answers(address, "be read"):
        system.exists(path.rpartition("/")[0])
        with suppress(FileNotFoundError):
            system.info(path)


def _address(address: str, left_out: Counter[str]) -> Iterator[str]:
    system, path = open_store(address)
    scheme = address.partition("://")[0]
    if path.lower().endswith(LIST_SUFFIXES):
        hint = "Fetch it, and name the copy."
        raise ConfigError("a list must be a file here", subject=f"{address}:", hint=hint)
    seen = False
    with store_answers(address, "be listed"):
        if _is_named_picture(path) and system.isfile(path):
            yield f"{scheme}://{path}"
            return
        for found in _walk(system.walk(path, on_error="raise"), _is_named_picture, left_out):
            seen = True
            yield f"{scheme}://{found}"
    if not seen:
        reason = f"no pictures there; looked for {', '.join(_PICTURES)}"
        raise InputError(reason, subject=f"{address}:")
