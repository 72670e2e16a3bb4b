"""The blocks that a file consists of: each says how long it is, so that what is missing shows.

FFmpeg looks for the next block that it understands when one is damaged, and says nothing of those
between; in AVI, FLV and Matroska nothing else counts the frames reliably.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

#: Kinds of blocks of FLV: sound, pictures, data.
_FLV_KINDS = frozenset({8, 9, 18})
#: What elements of Matroska begin with that hold others: segment and cluster.
_MATROSKA_LISTS = frozenset({0x18538067, 0x1F43B675})
#: Those that stand at the top, in a segment and in a cluster.
_MATROSKA = _MATROSKA_LISTS | {
    0x1A45DFA3, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770,
    0x1254C367, 0xEC, 0xBF, 0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF,
}  # fmt: skip


def is_unbroken(path: Path) -> bool:
    """Tells whether the blocks of a file follow each other to its end; other kinds: True."""
    with path.open("rb") as file:
        start, size = file.read(12), path.stat().st_size
        if start[:4] == b"RIFF" and start[8:] == b"AVI ":
            return _avi_is_unbroken(file, size)
        if start[:3] == b"FLV":
            return _flv_is_unbroken(file, int.from_bytes(start[5:9], "big") + 4, size)
        return not start.startswith(b"\x1a\x45\xdf\xa3") or _matroska_is_unbroken(file, size)


def _avi_is_unbroken(file: BinaryIO, size: int) -> bool:
    """Walks the chunks: lists are entered, all others passed over."""
    position = end = 0
    while position + 8 <= size:
        file.seek(position)
        head = file.read(8)
        name, length = head[:4], int.from_bytes(head[4:], "little")
        if name == b"RIFF":
            end = position + 8 + length
        elif 8 < end <= position:  # what follows the end that the file states is no part of it
            return True
        if not name.isascii() or not name.decode().isprintable():
            return False
        position += 12 if name in (b"RIFF", b"LIST") else 8 + length + length % 2
    return max(position, end) <= size + 1  # the last byte may be one that only fills up


def _flv_is_unbroken(file: BinaryIO, position: int, size: int) -> bool:
    """Walks the tags: eleven bytes, the last three of them 0, the content, and its length again."""
    while position + 11 <= size:
        file.seek(position)
        head = file.read(11)
        if head[0] & 31 not in _FLV_KINDS or any(head[8:]):
            return False
        position += 15 + int.from_bytes(head[1:4], "big")
    return position <= size + 4


def _matroska_is_unbroken(file: BinaryIO, size: int) -> bool:
    """Walks the elements: segments and clusters, which may be of unknown length, are entered."""
    position = end = 0
    while position < size:
        file.seek(position)
        head = file.read(12)
        taken = 9 - head[0].bit_length()
        name = int.from_bytes(head[:taken], "big")
        if name not in _MATROSKA or taken == len(head):
            return False
        wide = 9 - head[taken].bit_length()
        unknown = (1 << 7 * wide) - 1
        length = int.from_bytes(head[taken : taken + wide], "big") & unknown
        position += taken + wide
        if name in _MATROSKA_LISTS:
            end = max(end, position + (0 if length == unknown else length))
        else:
            position += length
    return max(position, end) <= size
