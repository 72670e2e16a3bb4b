"""The input of a job as one stream of paths that is never held whole."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import ConfigError, InputError
from mien.images import IMAGE_SUFFIXES, list_images
from mien.jobs.stores import check_address, is_address, open_store, store_answers
from mien.video import is_video_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LIST_SUFFIXES = (".txt", ".lst")


def check_sources(words: Sequence[str]) -> list[str]:
    """Returns the sources as a job remembers them: absolute paths and addresses.

    A list file comes with the sha256 of its content: it is the list that counts.

    Raises:
        ConfigError: If a source is a clip, or a list on stdin, which could not be read again.
        InputError: If there are none, or one does not exist.
    """
    if not words:
        raise InputError(
            "no pictures",
            hint="Name a folder, an address such as s3://BUCKET/PREFIX, or a list.txt of paths.",
        )
    found = []
    for word in words:
        if word == "-":
            raise ConfigError(
                "a list on stdin (-) is gone when the job is resumed",
                hint="Write it to a file list.txt and name that.",
            )
        if is_address(word):
            found.append(check_address(word))
            continue
        if is_video_name(word):
            raise ConfigError(
                "is a clip, and a job is for photos", subject=word, hint="Leave --engine out."
            )
        path = Path(word).expanduser().absolute()
        if not path.exists() and not any(mark in word for mark in "*?["):
            raise InputError(f"there is no file or folder {word!r}: check the path.")
        found.append(f"{path}#{_digest(path)}" if _is_list(path) else str(path))
    return found


def list_sources(words: Sequence[str]) -> Iterator[str]:
    """Yields the absolute paths and addresses of pictures, in the same order every time.

    Folders are walked as by :func:`mien.images.list_images`, without names that start with a dot,
    but one folder at a time: memory does not grow with the number of pictures. Lines of a list
    are taken as they stand; relative ones count from the current folder.

    Raises:
        InputError: If a source cannot be listed.
    """
    for word in words:
        if is_address(word):
            yield from _address(word)
            continue
        path = Path(word).expanduser().absolute()
        if _is_list(path):
            yield from _lines(path)
        elif path.is_dir():
            yield from _folder(str(path))
        elif path.exists():
            yield str(path)
        else:
            yield from map(str, list_images(str(path)))


def _is_list(path: Path) -> bool:
    return path.suffix.lower() in _LIST_SUFFIXES and path.is_file()


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", subject=path) from error


def _wanted(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122


def _folder(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            here = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    except OSError as error:
        raise InputError(
            f"cannot be listed: {error.strerror or error}", subject=f"{folder!r}"
        ) from error
    for name, is_folder in here:
        path = os.path.join(folder, name)  # noqa: PTH118 - millions of them
        if is_folder and not name.startswith("."):
            yield from _folder(path)
        elif not is_folder and _wanted(name) and os.path.isfile(path):  # noqa: PTH113
            yield path


def _lines(path: Path) -> Iterator[str]:
    checked: set[str] = set()
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                word = line.rstrip("\r\n")
                if not word.strip():
                    continue
                if not is_address(word):
                    yield os.path.abspath(os.path.expanduser(word))  # noqa: PTH100, PTH111
                    continue
                bucket = "/".join(word.split("/")[:3])
                if bucket not in checked:
                    # Once per store: a wrong key is one error here, or a million rows later.
                    checked.add(bucket)
                    _check_access(check_address(word))
                yield word
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", subject=path) from error


def _check_access(address: str) -> None:
    system, path = open_store(address)
    with store_answers(address, "be read"):
        system.exists(path.rpartition("/")[0])
        try:
            system.info(path)
        except FileNotFoundError:
            return


def _address(address: str) -> Iterator[str]:
    system, path = open_store(address)
    scheme = address.partition("://")[0]
    if path.lower().endswith(_LIST_SUFFIXES):
        raise ConfigError(
            "a list must be a file here", subject=f"{address}:", hint="Fetch it, and name the copy."
        )
    seen = False
    with store_answers(address, "be listed"):
        if os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES and system.isfile(path):  # noqa: PTH122
            yield f"{scheme}://{path}"
            return
        for folder, folders, names in system.walk(path, on_error="raise"):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(filter(_wanted, names)):
                seen = True
                yield f"{scheme}://{folder.rstrip('/')}/{name}"
    if not seen:
        raise InputError(
            f"no pictures there; looked for {', '.join(sorted(IMAGE_SUFFIXES))}",
            subject=f"{address}:",
        )
