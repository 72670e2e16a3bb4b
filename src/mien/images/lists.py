"""Lists of pictures as people save them: in any encoding, with quotes or further columns."""

from __future__ import annotations

import io
import os
import re
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from mien.images.guard import guess_content

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Endings of files that hold paths, a line each.
LIST_SUFFIXES = (".txt", ".lst")
_HEADS = frozenset({"path", "paths", "file", "files", "filename", "image", "picture", "source"})


def encoding_of(head: bytes) -> str:
    """Returns the encoding of a text from its first bytes; UTF-8 unless they say otherwise."""
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return "utf-16"
    if b"\0" in head[:4]:
        return "utf-16-be" if head[:1] == b"\0" else "utf-16-le"
    return "utf-8-sig"


def is_text(head: bytes) -> bool:
    """Tells whether what begins like this can be a table or list, in any encoding."""
    if head.startswith((b"%PDF", b"version https://git-lfs")) or "XML" in guess_content(head):
        return False
    if "16" not in encoding_of(head):
        return b"\0" not in head
    text = head[: len(head) // 2 * 2].decode(encoding_of(head), "replace")[:-1]
    return all(letter.isprintable() or letter.isspace() for letter in text)


def decode_text(data: bytes) -> str:
    """Returns the text of a table or list: UTF-8, UTF-16, or else as Windows writes it."""
    try:
        return data.decode(encoding_of(data))
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def read_list(stream: BinaryIO, folder: Path | None = None) -> Iterator[str]:
    """Yields the paths and addresses of a list, one per line, as they can be opened.

    A line is taken as it stands where it names a file; else without quotes and further columns
    (after ``;``, a comma or a tab), as Latin-1, or below ``folder``, where that names one.
    """
    buffered: Any = stream if hasattr(stream, "peek") else io.BufferedReader(cast("Any", stream))
    encoding = encoding_of(buffered.peek(4))
    errors = "replace" if "16" in encoding else "surrogateescape"
    text = io.TextIOWrapper(buffered, encoding=encoding, errors=errors)
    for number, line in enumerate(filter(str.strip, text)):
        if number or re.split(r"[;,\t]", line)[0].strip(" \r\n\"'").lower() not in _HEADS:
            yield _opened(line.rstrip("\r\n"), folder)
    text.detach()


def _opened(line: str, folder: Path | None) -> str:
    """Returns the reading of a line that names a file, or the line where none does."""
    bare = line.strip()
    readings = [line, *(re.split(mark, bare)[0].strip().strip("\"'") for mark in ("$", *";\t,"))]
    raw = [word.encode("utf-8", "surrogateescape") for word in readings]
    for word in [*readings, *(word.decode("cp1252", "replace") for word in raw)]:
        if "://" in word:
            return word
        path = os.path.expanduser(word)  # noqa: PTH111 - a line may be anything
        for found in (path, os.path.join(folder or "", path)):  # noqa: PTH118
            if word and os.path.exists(found):  # noqa: PTH110
                return found
    return readings[1]
