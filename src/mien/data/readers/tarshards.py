"""Datasets in tar files as WebDataset has them (``wds:DIR``, ``wds:DIR/{000..009}.tar``)."""

from __future__ import annotations

import json
import re
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.filenames import is_picture
from mien.data.image_stores import ShardedImages
from mien.data.readers.assemble import assemble
from mien.data.registry import ReadRequest, register_reader
from mien.data.split import file_split
from mien.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mien.arrays import I64
    from mien.data.manifest import Manifest

_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass
class _Sample:
    """Offset and size of a picture in its tar, and the other fields under the same key."""

    key: str
    span: tuple[int, int] | None = None
    fields: dict[str, Any] = field(default_factory=dict)


class TarImages(ShardedImages):
    """Pictures in uncompressed tar files; ``spans`` (M, 2) are offset and size in each file."""

    def __init__(
        self, files: Sequence[Path], keys: Sequence[Sequence[str]], spans: Sequence[Any]
    ) -> None:
        super().__init__([len(part) for part in keys])
        self.files, self.keys, self.spans = files, keys, spans

    def key(self, index: int) -> str:
        """Returns the name of the tar and the key in it."""
        shard, row = self.locate(index)
        return f"{self.files[shard].name}#{self.keys[shard][row]}"

    def read(self, index: int) -> bytes:
        """Returns the bytes of one picture."""
        shard, row = self.locate(int(index))
        return next(self.read_rows(shard, np.array([row])))

    def size(self, index: int) -> int:
        """Returns the number of encoded bytes of one picture; nothing is read."""
        shard, row = self.locate(int(index))
        return int(self.spans[shard][row, 1])

    def read_rows(self, shard: int, rows: I64) -> Iterator[bytes]:
        """Yields pictures of one tar in the order of the file."""
        path = self.files[shard]
        try:
            with path.open("rb") as file:
                for offset, size in self.spans[shard][rows].tolist():
                    file.seek(offset)
                    data = file.read(size)
                    if len(data) < size:
                        raise _damaged(path, "it ends too early")
                    yield data
        except OSError as error:
            raise _damaged(path, error.strerror or error) from error


def _damaged(path: Path, why: object) -> DataError:
    return DataError(f"is damaged: {why}", subject=f"the shard {path}", hint="Fetch it again.")


@register_reader("wds", options=("dedupe",), patterns=True)
def read_wds(request: ReadRequest) -> Manifest:
    """Reads ``wds:PATH``: a tar, a folder of tars, or ``PATH/{000..009}.tar``.

    Files of one key (the name up to its first dot) are a sample: a picture, and its label in
    ``cls`` (a name, or a number in the order of the labels wanted) or in ``json`` (``label``,
    and perhaps ``split`` and ``subject_id``). Else the names of the tars tell the splits
    (``train-000.tar``). Samples without a label are left out.
    """
    files = _files(request.path)
    tars = [_labelled(file, request) for file in files]
    samples = [sample for tar, _ in tars for sample in tar]
    dropped = sum(count for _, count in tars)
    if not samples:
        reason = "has no sample with a picture and a label (cls or json)"
        raise DataError(reason, subject=request.spec)
    spans = [np.array([s.span for s in tar], np.int64).reshape(-1, 2) for tar, _ in tars]
    return assemble(
        request,
        TarImages(files, [[s.key for s in tar] for tar, _ in tars], spans),
        [str(sample.fields["label"]) for sample in samples],
        splits=_column(samples, "split", request),
        groups=_column(samples, "subject_id", request),
        warnings=[f"{dropped} samples without a label are left out."] if dropped else (),
    )


def _files(path: Path) -> list[Path]:
    from mien.images.files import natural_key

    if path.is_dir():
        found = sorted(path.rglob("*.tar"), key=lambda file: natural_key(file.as_posix()))
        if not found:
            raise DataError("holds no .tar files", subject=path)
        return found
    braces = _BRACES.search(str(path))
    if braces is None:
        return [path]
    first, last = braces[1], braces[2]
    numbers = (f"{number:0{len(first)}}" for number in range(int(first), int(last) + 1))
    names = [Path(_BRACES.sub(number, str(path), count=1)) for number in numbers]
    missing = [name for name in names if not name.is_file()]
    if missing or not names:
        reason = f"names {missing[0] if missing else 'files'}, which does not exist"
        raise DataError(reason, subject=path)
    return names


def _labelled(file: Path, request: ReadRequest) -> tuple[list[_Sample], int]:
    """Returns the samples of a tar that have a label, and how many have none."""
    split = file_split(file.stem)
    whole = []
    samples = [sample for sample in _samples(file) if sample.span]
    for sample in samples:
        label = sample.fields.get("label")
        if isinstance(label, bool) or not isinstance(label, (str, int)) or label == "":
            continue
        is_number = isinstance(label, int) or label.isdecimal()
        if is_number and str(label) not in request.label_map:
            names = request.labels.labels if request.labels else ()
            if not 0 <= int(label) < len(names):
                hint = f"Type --label-map {label}=LABEL,..., or --labels in the same order."
                raise DataError(f"has the label {label} without a name", subject=file, hint=hint)
            sample.fields["label"] = names[int(label)]
        if split is not None:
            sample.fields.setdefault("split", split)
        whole.append(sample)
    return whole, len(samples) - len(whole)


def _samples(file: Path) -> list[_Sample]:
    found: dict[str, _Sample] = {}
    try:
        with tarfile.open(file, "r:") as tar:
            for member in tar:
                folder, _, name = member.name.rpartition("/")
                stem, _, ending = name.partition(".")
                if not member.isfile() or not stem:
                    continue
                key = f"{folder}/{stem}" if folder else stem
                sample = found.setdefault(key, _Sample(key))
                if is_picture(f"{stem}.{ending}"):
                    sample.span = member.offset_data, member.size
                elif ending in ("cls", "json") and (content := tar.extractfile(member)):
                    text = content.read().decode("utf-8").strip()
                    sample.fields |= {"label": text} if ending == "cls" else json.loads(text)
    except (tarfile.TarError, OSError, ValueError, TypeError, EOFError) as error:
        from mien.images.guard import guess_file

        kind = guess_file(file)
        if "tar" not in kind and found == {}:
            raise DataError(f"is no tar: it {kind}", subject=file) from error
        raise _damaged(file, error) from error
    size = file.stat().st_size
    if any(sum(sample.span or ()) > size for sample in found.values()):
        raise _damaged(file, "it ends too early")
    return list(found.values())


def _column(samples: list[_Sample], name: str, request: ReadRequest) -> list[str] | None:
    values = [sample.fields.get(name) for sample in samples]
    lost = values.count(None)
    if 0 < lost < len(values):
        raise DataError(f"has {lost} of {len(values)} samples without {name}", subject=request.spec)
    return None if lost else [str(value) for value in values]
