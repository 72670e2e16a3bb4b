"""What a person types as pictures, and where annotated copies go."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import ConfigError, InputError
from mien.hub import ASSETS
from mien.images import IMAGE_SUFFIXES, list_images, save_image

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mien.arrays import U8

#: The photo that travels with the package; see ``assets/sample/README.md`` for its credit.
SAMPLE = ASSETS / "sample" / "astronaut.jpg"


@dataclass(frozen=True)
class Item:
    """One picture to read: its path, and its path below the folder that was named."""

    path: Path
    relative: Path


def collect(words: Iterable[str]) -> list[Item]:
    """Turns arguments into pictures: files, folders, globs, ``sample``, ``-`` (paths on stdin).

    A name that does not exist stays in the list and becomes an error row.
    """
    items: list[Item] = []
    for word in words:
        path = Path(word).expanduser()
        if word == "-":
            lines = (line.rstrip("\r\n") for line in sys.stdin)
            items += [Item(Path(line), Path(Path(line).name)) for line in lines if line.strip()]
        elif path.is_dir() or (any(mark in word for mark in "*?[") and not path.exists()):
            found = list_images(path if path.is_dir() else word)
            if not found:
                known = ", ".join(sorted(IMAGE_SUFFIXES))
                raise InputError(f"no pictures there; looked for {known}", subject=f"{word}:")
            is_dir = path.is_dir()
            items += [Item(e, e.relative_to(path) if is_dir else Path(e.name)) for e in found]
        else:
            path = SAMPLE if word == "sample" and not path.exists() else path
            items.append(Item(path, Path(path.name or "picture")))
    return items


class Outputs:
    """Files for annotated pictures; all names are settled before the first is written.

    ``target`` is a folder, or a file name with an image suffix for a single picture.
    """

    def __init__(self, target: Path, items: list[Item], *, overwrite: bool) -> None:
        self._overwrite = overwrite
        single = target.suffix.lower() in IMAGE_SUFFIXES and not target.is_dir()
        if single and len(items) > 1:
            raise ConfigError(
                f"--output {target} is one file for {len(items)} pictures: give a folder."
            )
        self._paths: list[Path] = []
        for item in items:
            suffix = item.relative.suffix.lower()
            keep = suffix in {".jpg", ".jpeg", ".png", ".webp"}
            named = item.relative.with_suffix(suffix if keep else ".png")
            path, number = target if single else target / named, 2
            while path in self._paths:
                path = path.with_name(f"{item.relative.stem}-{number}{path.suffix}")
                number += 1
            self._paths.append(path)
        existing = [path for path in self._paths if path.exists()]
        if existing and not overwrite:
            reason = f"exists already ({len(existing)} file(s) would be replaced)"
            hint = "Type --overwrite, or give another --output."
            raise ConfigError(reason, subject=min(existing), hint=hint)
        inputs = {item.path.resolve() for item in items}
        same = [path for path in self._paths if path.resolve() in inputs]
        if same:
            raise ConfigError(f"--output would replace the picture {min(same)}: give another.")

    def save(self, index: int, image_rgb: U8) -> None:
        """Writes the annotated copy of the picture at a place in the list, whole or not at all."""
        path = self._paths[index]
        path.parent.mkdir(parents=True, exist_ok=True)
        save_image(path, image_rgb, overwrite=self._overwrite)
