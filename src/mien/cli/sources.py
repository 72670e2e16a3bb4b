"""What a person types as pictures, and where annotated copies go."""

from __future__ import annotations

import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mien.cli.flags import check_folder_name
from mien.cli.printing import remark
from mien.errors import ConfigError, InputError
from mien.hub import ASSETS
from mien.images import IMAGE_SUFFIXES, save_image
from mien.images.files import EMPTY_NAME, check_suffix, list_files
from mien.images.guard import guess_file, kind_of
from mien.images.lists import LIST_SUFFIXES, read_list
from mien.images.source import address_error, address_of
from mien.video.config import is_video_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mien.arrays import U8

#: The photo that travels with the package; see ``assets/sample/README.md`` for its credit.
SAMPLE = ASSETS / "sample" / "astronaut.jpg"


@dataclass(frozen=True)
class Item:
    """One picture to read: its path, and its path below the folder that was named.

    ``fault`` says why there is nothing to read; ``found`` it was in a folder or glob.
    """

    path: Path
    relative: Path
    is_clip: bool = False
    found: bool = False
    fault: str = ""

    @property
    def name(self) -> str:
        """The path as it was given; a ``Path`` keeps one slash of an address's two."""
        return address_of(str(self.path)) or str(self.path)


def collect(words: Iterable[str], *, clips: bool = False, partial: bool = False) -> list[Item]:
    """Turns arguments into pictures: files, folders, globs, lists, ``sample``, ``-`` (stdin).

    A name that does not exist stays in the list and becomes an error row. What a folder or glob
    holds besides pictures is counted and named on stderr. With ``clips``, folders that hold only
    clips are read, too; with ``partial``, an empty source is an item with a fault.
    """
    items: list[Item] = []
    others: list[Path] = []
    for word in words:
        found, left = _read_source(word)
        items += found
        others += left
    photos = not clips or any(not item.is_clip and not item.fault for item in items)
    # A clip that was named is not passed over: the verb has an answer to it.
    left_out = [item for item in items if photos and item.is_clip and item.found]
    items = [item for item in items if item not in left_out] if left_out else items
    faults = [item for item in items if item.fault]
    if faults and (not partial or len(faults) == len(items)):
        raise InputError(faults[0].fault)
    _tell(others, [item.path for item in left_out])
    if left_out and not items:
        raise InputError("no pictures there, only clips", hint="Give them to mien predict.")
    return items


def _read_source(word: str) -> tuple[list[Item], list[Path]]:
    """Returns the pictures of one argument, and the files there that are none."""
    if word == "-":
        stream = getattr(sys.stdin, "buffer", None) or io.BytesIO(sys.stdin.read().encode())
        return [_named(line) for line in read_list(stream)], []
    if not word.strip():  # a Path of it would be the folder that one is in
        return [Item(Path("''"), Path("picture"), fault=EMPTY_NAME)], []
    path = Path(os.path.expanduser(word))  # noqa: PTH111 - keeps an unknown ~user
    if address_of(word):
        return [_named(word)], []
    path = SAMPLE if word == "sample" and not path.exists() else path
    if path.is_dir() or (any(mark in word for mark in "*?[") and not path.exists()):
        return _found(word, path)
    if path.suffix.lower() in LIST_SUFFIXES and path.is_file() and kind_of(path) == "":
        with path.open("rb") as stream:
            items = [_named(line) for line in read_list(stream, path.parent)]
        fault = f"{word}: holds no paths: write one per line."
        return items or [Item(path, Path(path.name), fault=fault)], []
    return [_named(str(path))], []


def _found(word: str, path: Path) -> tuple[list[Item], list[Path]]:
    files = {file: _kind(file) for file in list_files(path)}
    root = path if path.is_dir() else None
    items = [
        Item(file, file.relative_to(root) if root else Path(file.name), kind == "clip", found=True)
        for file, kind in files.items()
        if kind
    ]
    others = [file for file, kind in files.items() if not kind]
    if items:
        return items, others
    looked = f"no pictures there; looked for {', '.join(sorted(IMAGE_SUFFIXES))}"
    there = f", and found {_names(others, _told)}" if others else ""
    return [Item(path, Path(path.name), fault=f"{word}: {looked}{there}.")], []


def _kind(file: Path) -> str:
    """Returns what a file is: by its content, and where that is damaged or gone, by its name."""
    if kind := kind_of(file):
        return kind
    if is_video_name(file):  # .ts may be TypeScript
        return "" if _told(file).endswith("(is text)") else "clip"
    return "photo" if file.suffix.lower() in IMAGE_SUFFIXES else ""


def _named(word: str) -> Item:
    path = Path(word)
    if address := address_of(word):
        return Item(path, Path(path.name), fault=str(address_error(address)))
    kind = kind_of(path) or ("clip" if is_video_name(path) else "photo")
    return Item(path, Path(path.name or "picture"), kind == "clip")


def _told(file: Path) -> str:
    """Names a file that is no picture, with what it is."""
    return f"{file.name} ({guess_file(file)})"


def _names(files: Sequence[Path], name: Callable[[Path], str], most: int = 5) -> str:
    more = [f"and {len(files) - most:,} more"] if len(files) > most else []
    return ", ".join([*map(name, files[:most]), *more])


def _tell(others: Sequence[Path], clips: Sequence[Path]) -> None:
    """Says what is left out of folders and globs."""
    if others:
        count = f"{len(others):,} file" + "s" * (len(others) > 1)
        remark(f"left out: {count} that mien does not read: {_names(others, _told)}")
    if clips:
        count = f"{len(clips):,} clip" + "s" * (len(clips) > 1)
        names = _names(clips, lambda path: path.name)
        example = f"Type for example: mien predict {clips[0]}"
        remark(f"left out: {count}, which are read apart from photos: {names}. {example}")


class Outputs:
    """Files for annotated pictures; all names are settled before the first is written.

    ``target`` is a folder, or a file name with an image suffix for a single picture.
    """

    def __init__(self, target: Path, items: list[Item], *, overwrite: bool) -> None:
        self._overwrite = overwrite
        single = target.suffix.lower() in IMAGE_SUFFIXES and not target.is_dir()
        if single:
            check_suffix(target.suffix)
        else:
            check_folder_name(target)
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
