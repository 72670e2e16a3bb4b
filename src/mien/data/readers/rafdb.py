"""RAF-DB's basic emotions (``rafdb:DIR``).

Li, Deng and Du, 2017, "Reliable Crowdsourcing and Deep Locality-Preserving Learning for Expression
Recognition in the Wild". The archive ``basic`` holds ``EmoLabel/list_patition_label.txt`` (spelt
so) and ``Image/aligned/train_00001_aligned.jpg``.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from mien.data.readers.assemble import assemble, one_hot
from mien.data.registry import ReadRequest, register_reader
from mien.data.stores import FileImages
from mien.errors import ConfigError, DataError
from mien.labels import FER7

if TYPE_CHECKING:
    from pathlib import Path

    from mien.data.manifest import Manifest

_LIST = "list_patition_label.txt"
#: The list's numbers, from 1.
_LABELS = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")


@register_reader("rafdb", options=("images", "dedupe"))
def read_rafdb(request: ReadRequest) -> Manifest:
    """Reads ``rafdb:DIR``, the folder ``basic`` or one above or below it.

    Options: ``images=aligned`` (100x100 faces) or ``original``; ``dedupe=true`` removes from train
    what also stands in test. There is no valid split: a share of train becomes it.

    Raises:
        DataError: If the list or pictures are missing, or a line is not of this form.
        ConfigError: If an option is wrong, or other labels are asked for.
    """
    if request.labels is not None and request.labels != FER7:
        raise ConfigError("has the labels of 'fer7'; leave the labels out", subject=request.spec)
    aligned = request.choice("images", "aligned", "original") == "aligned"
    base, listed = _find_list(request.path)
    names, ids, splits = [], [], []
    for number, line in enumerate(listed.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        parts = line.split()
        where = f"{listed}, line {number}"
        if len(parts) != 2 or parts[1] not in {str(k + 1) for k in range(len(_LABELS))}:
            raise DataError(
                f"expected 'train_00001.jpg 5' (label 1 to 7), got {line!r}", subject=f"{where}:"
            )
        split = parts[0].split("_")[0]
        if split not in {"train", "test"}:
            raise DataError(
                f"{parts[0]!r} begins with neither train_ nor test_", subject=f"{where}:"
            )
        name = PurePosixPath(parts[0])
        file = f"{name.stem}_aligned{name.suffix}" if aligned else name.name
        names.append(f"Image/{'aligned' if aligned else 'original'}/{file}")
        ids.append(FER7.index(_LABELS[int(parts[1]) - 1]))
        splits.append(split)
    if not names:
        raise DataError("lists no pictures", subject=listed)
    missing = [name for name in names if not (base / name).is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(names)} listed pictures are missing, as {missing[0]}",
            subject=f"{base}:",
            hint="Unpack the archive of aligned faces, or say images=original.",
        )
    class_ids = np.array(ids, np.int64)
    return assemble(
        request, schema=FER7, images=FileImages(base, names), targets=one_hot(class_ids, FER7),
        class_ids=class_ids, splits=np.array(splits), groups=None,
    )  # fmt: skip


def _find_list(path: Path) -> tuple[Path, Path]:
    for base in (path, path / "basic", path.parent):
        for listed in (base / "EmoLabel" / _LIST, base / _LIST):
            if listed.is_file() and (base / "Image").is_dir():
                return base, listed
    raise DataError(
        f"holds no EmoLabel/{_LIST} beside Image/",
        subject=path,
        hint="Give the folder that RAF-DB's archive 'basic' unpacks to.",
    )
