"""The blocks that a file consists of: each says how long it is, so that what is missing shows.

FFmpeg looks for the next block that it understands when one is damaged, and says nothing of those
between; in AVI, FLV and Matroska nothing else counts the frames reliably. Nor does it say when
zeros inside of a packet happen to decode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
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

#: What no unit of H.264 or H.265 holds: their encoders put a byte after each second zero, so that
#: a unit's start can be found. One zero more than that, since some files end units in zeros.
_HOLE = bytes(4)
#: Codecs of such units, and where their headers say how many bytes the length of a unit has.
_LENGTHS = {"h264": 4, "hevc": 21}


def has_hole(packet: bytes | memoryview, codec: str, header: bytes | None) -> bool:
    """Tells whether bytes inside of a packet were overwritten with zeros, where that shows.

    Args:
        packet: What one picture is decoded from.
        codec: FFmpeg's name; of others than H.264 and H.265 nothing is known: False.
        header: The codec's header in the container; it says whether units follow start codes or
            their lengths.
    """
    if codec not in _LENGTHS or _HOLE not in (data := bytes(packet)):
        return False
    return any(_HOLE in unit.rstrip(b"\0") for unit in _units(data, header, _LENGTHS[codec]))


def _units(packet: bytes, header: bytes | None, at: int) -> Iterator[bytes]:
    if not header or header[0] != 1 or len(header) <= at:
        yield from packet.split(b"\0\0\1")
        return
    wide, position = (header[at] & 3) + 1, 0
    while position < len(packet):
        start = position + wide
        position = start + int.from_bytes(packet[position:start], "big")
        yield packet[start:position]


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
