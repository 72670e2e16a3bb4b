"""Packs all faces into a folder of a few tens of megabytes: AVIF sheets and one table.

``python -m research.expression.pack --data ../shared/data --out runs/faces``: about six minutes on
one core. Training faces are lossy (35 to 40 dB), validation faces nearly not.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from research.expression.sources import LABELS, SOURCES, read_source

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLUMNS = 32
VALID_QUALITY = 80
#: Tables are sorted by label; sheets are not, so that any of them is a sample.
SEED = 0


def encode_sheet(images: NDArray[np.uint8], quality: int) -> bytes:
    """Tiles uint8 (N, S, S) into one gray AVIF, 32 faces per row."""
    n, side = images.shape[:2]
    rows = -(-n // COLUMNS)
    tiles = np.full((rows * COLUMNS, side, side), 128, np.uint8)
    tiles[:n] = images
    sheet = tiles.reshape(rows, COLUMNS, side, side).swapaxes(1, 2)
    buffer = io.BytesIO()
    picture = Image.fromarray(sheet.reshape(rows * side, COLUMNS * side))
    picture.save(buffer, "AVIF", quality=quality, speed=6)
    return buffer.getvalue()


def decode_sheet(data: bytes, n: int, side: int) -> NDArray[np.uint8]:
    """Reverses :func:`encode_sheet`: uint8 (n, side, side)."""
    with Image.open(io.BytesIO(data)) as picture:
        sheet = np.asarray(picture.convert("L"))
    tiles = sheet.reshape(-1, side, COLUMNS, side).swapaxes(1, 2)
    return tiles.reshape(-1, side, side)[:n].copy()


def pack(data: Path, out: Path, per_sheet: int = 1024) -> None:
    """Writes ``<source>_<split>_<k>.avif`` and ``faces.npz`` with targets and rows."""
    out.mkdir(parents=True, exist_ok=True)
    columns: dict[str, NDArray[np.generic]] = {}
    for source in SOURCES:
        faces = read_source(data, source)
        order = np.random.default_rng(SEED).permutation(len(faces.rows))
        for split, which in (("train", ~faces.valid), ("valid", faces.valid)):
            chosen = order[which[order]]
            images = faces.images[chosen]
            total = 0
            for k, start in enumerate(range(0, len(images), per_sheet)):
                quality = VALID_QUALITY if split == "valid" else source.quality
                sheet = encode_sheet(images[start : start + per_sheet], quality)
                (out / f"{source.name}_{split}_{k:02d}.avif").write_bytes(sheet)
                total += len(sheet)
            key = f"{source.name}_{split}"
            columns[f"{key}_targets"] = (faces.targets[chosen] * 65535).round().astype(np.uint16)
            columns[f"{key}_class_ids"] = faces.class_ids[chosen].astype(np.int8)
            columns[f"{key}_rows"] = faces.rows[chosen].astype(np.int32)
            print(f"{key}: {len(images)} faces, {total / 1e6:.2f} MB", file=sys.stderr, flush=True)
    np.savez_compressed(out / "faces.npz", **columns)  # type: ignore[arg-type]
    about = {"labels": LABELS, "per_sheet": per_sheet, "sources": [asdict(s) for s in SOURCES]}
    (out / "faces.json").write_text(json.dumps(about, indent=1))


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/faces"))
    args = parser.parse_args()
    pack(args.data, args.out)


if __name__ == "__main__":
    main()
