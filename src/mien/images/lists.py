"""Lists of pictures as people save them: in any encoding, with quotes or further columns."""

from __future__ import annotations

import io
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Endings of files that hold paths, a line each.
LIST_SUFFIXES = (".txt", ".lst")
_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))
_HEADS = frozenset({"path", "paths", "file", "files", "filename", "image", "picture", "source"})


def encoding_of(head: bytes) -> str:
    r"""Returns the encoding of a text from its first bytes; UTF-8 where nothing speaks against it.

    >>> encoding_of("é".encode("utf-16")), encoding_of(b"a\0b\0"), encoding_of(b"a")
    ('utf-16', 'utf-16-le', 'utf-8')
    """
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    if b"\0" in head[:4]:
        return "utf-16-be" if head[:1] == b"\0" else "utf-16-le"
    return "utf-8"


def read_list(stream: BinaryIO, folder: Path | None = None) -> Iterator[str]:
    """Yields the paths and addresses of a list, one per line, as they can be opened.

    A line is taken as it stands where it names a file; else without quotes and further columns
    (after ``;``, a comma or a tab), as Latin-1, or below ``folder``, where that names one.
    """
    buffered: Any = stream if hasattr(stream, "peek") else io.BufferedReader(cast("Any", stream))
    encoding = encoding_of(buffered.peek(4))
    errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
    text = io.TextIOWrapper(buffered, encoding=encoding, errors=errors)
    try:
        for number, line in enumerate(filter(str.strip, text)):
            word = re.split(r"[;,\t]", line.strip(" \r\n\"'"))[0].strip(" \"'").lower()
            if number or word not in _HEADS:
                yield _opened(line.rstrip("\r\n"), folder)
    finally:
        with suppress(ValueError):
            text.detach()


def _opened(line: str, folder: Path | None) -> str:
    """Returns the reading of a line that names a file, or the line where none does."""
    bare = line.strip()
    readings = [line, bare, bare.strip("\"'")]
    readings += [re.split(mark, bare)[0].strip().strip("\"'") for mark in (";", "\t", ",")]
    if not bare.isprintable():
        raw = [word.encode("utf-8", "surrogateescape") for word in readings]
        readings += [word.decode("cp1252", "replace") for word in raw]
    for word in readings:
        if "://" in word:
            return word
        with suppress(RuntimeError):
            path = os.path.expanduser(word)  # noqa: PTH111 - a line may be anything
            for found in (path, os.path.join(folder, path) if folder else path):  # noqa: PTH118
                if word and os.path.exists(found):  # noqa: PTH110
                    return found
    return readings[2]
