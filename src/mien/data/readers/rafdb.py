"""RAF-DB's basic emotions (``rafdb:DIR``).

Li, Deng and Du, 2017, "Reliable Crowdsourcing and Deep Locality-Preserving Learning for Expression
Recognition in the Wild". The archive ``basic`` holds ``EmoLabel/list_patition_label.txt`` (spelt
so) and ``Image/aligned/train_00001_aligned.jpg``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mien.data.image_stores import FileImages
from mien.data.readers.assemble import assemble, check_files
from mien.data.registry import ReadRequest, register_reader
from mien.errors import DataError
from mien.labels import FER7

if TYPE_CHECKING:
    from pathlib import Path

    from mien.data.manifest import Manifest

_LIST = "list_patition_label.txt"
#: The list's numbers, from 1.
_LABELS = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
_LINE = re.compile(r"\s*((train|test)_\S*?)(\.[^.\s]+)\s+([1-7])\s*")


@register_reader("rafdb", options=("images", "dedupe"))
def read_rafdb(request: ReadRequest) -> Manifest:
    """Reads ``rafdb:DIR``, the folder ``basic`` or one above or below it.

    Options: ``images=aligned`` (100x100 faces) or ``original``; ``dedupe=true`` removes from train
    what is also in test. There is no valid split: a share of train becomes it.

    Raises:
        DataError: If the list or pictures are missing, or a line is not of this form.
        ConfigError: If an option is wrong, or other labels are wanted.
    """
    schema = request.expect(FER7)
    kind = request.choice("images", "aligned", "original")
    base, listed = _find_list(request.path)
    rows = []
    for number, line in enumerate(listed.read_text("utf-8").splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match:
            stem, split, ending, label = match.groups()
            file = f"{stem}_aligned{ending}" if kind == "aligned" else f"{stem}{ending}"
            rows.append((f"Image/{kind}/{file}", _LABELS[int(label) - 1], split))
        elif line.strip():
            raise DataError(
                f"is {line!r}; it must be like 'train_00001.jpg 5' (train_ or test_, label 1 to 7)",
                subject=f"{listed}, line {number}",
            )
    if not rows:
        raise DataError("lists no pictures", subject=listed)
    names, labels, splits = zip(*rows, strict=True)
    hint = "Unpack the archive of aligned faces, or say images=original."
    check_files(base, names, hint, listed=listed)
    return assemble(request, FileImages(base, names), labels, schema=schema, splits=splits)


def _find_list(path: Path) -> tuple[Path, Path]:
    for base in (path, path / "basic", path.parent):
        for listed in (base / "EmoLabel" / _LIST, base / _LIST):
            if listed.is_file() and (base / "Image").is_dir():
                return base, listed
    raise DataError(
        f"holds no EmoLabel/{_LIST} next to Image/",
        subject=path,
        hint="Give the folder that RAF-DB's archive 'basic' unpacks to.",
    )
