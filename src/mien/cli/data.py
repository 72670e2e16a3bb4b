"""``mien data inspect``, ``card``, ``split``, ``convert``, ``shard`` and ``augment``."""

from __future__ import annotations

import itertools
import json
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mien.cli import flags, new_app
from mien.cli.flags import check_folder_name, flag, output_flag
from mien.cli.printing import failed, print_result, print_table, progress_bar, remark
from mien.errors import ConfigError, needs_extra

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.data import Manifest
    from mien.data.inspection import Inspection

app = new_app(help="Inspect a dataset, split it without leaks, write it in another form.")


#: What a dataset is written as.
To = StrEnum("To", ["folder", "csv", "parquet"])
Near = Annotated[float, flag("Smallest correlation of near copies.", min=0.5, max=1.0)]


@app.command()
@flags.with_label_map
def inspect(
    data: flags.Datasets,
    output: Annotated[
        Path | None, output_flag("Report (.html); the JSON is written next to it.")
    ] = None,
    format: flags.Print = flags.Format.table,  # noqa: A002 - the flag is --format
    faces: Annotated[
        str | None, flag("Detector that searches for pictures without a face (slow).")
    ] = None,
    suspects: Annotated[
        bool, flag("List labels that are probably wrong (minutes).", "--suspects")
    ] = False,
    model: Annotated[
        str | None, flag("Model whose features assess the labels.", "-m", "--model")
    ] = None,
    near: Near = 0.95,
    labels: flags.Labels = None,
    workers: flags.Workers = 2,
    seed: flags.Seed = 0,
    overwrite: flags.Overwrite = False,
    quiet: flags.Quiet = False,
) -> None:
    """Find what a dataset hides: leaks, copies, broken files, odd labels.

    Exit code 1 on leakage (copies, sources or subjects in two splits) and on files that cannot
    be read.
    """
    from mien.atomic import check_free, write_text
    from mien.data.inspection import InspectConfig, inspect_data
    from mien.reporting.pages import check_output

    if output is not None:
        check_output(output, (".html", ".htm"), overwrite=overwrite)
        for path in (output, output.with_suffix(".json")):
            check_free(path, overwrite=overwrite)
    config = InspectConfig(
        near=near, faces=faces, suspects=suspects, model=model, workers=workers, seed=seed
    )
    inspection = inspect_data(data, config, labels=labels, bars=partial(progress_bar, quiet=quiet))
    found = inspection.to_dict()
    if output is not None:
        from mien.data.inspection.page import inspection_page

        write_text(output, inspection_page(inspection))
        text = json.dumps(found, indent=2, ensure_ascii=False)
        write_text(output.with_suffix(".json"), text + "\n")
    print_result(found, format, lambda: _print_findings(inspection))
    if output is not None:
        remark(f"report: {output}")
    faults = [item.title for item in inspection.left_out]
    if inspection.leaks:
        faults.insert(0, "the data leaks between its splits")
    if faults:
        raise failed(*faults)


@app.command()
@flags.with_label_map
def card(
    data: flags.Data,
    output: Annotated[Path, output_flag("Card: README.md.")],
    license: flags.License = "unknown",  # noqa: A002 - the flag is --license
    name: Annotated[str | None, flag("What to call the dataset; else its last folder.")] = None,
    near: Near = 0.95,
    labels: flags.Labels = None,
    workers: flags.Workers = 2,
    overwrite: flags.Overwrite = False,
    quiet: flags.Quiet = False,
) -> None:
    """Write a dataset card for the Hugging Face Hub; every figure in it is measured."""
    from mien.atomic import check_free, write_text
    from mien.data.card import dataset_card
    from mien.data.inspection import InspectConfig, inspect_data

    if output.suffix.lower() != ".md":
        raise ConfigError(
            "must end in .md", subject=f"-o {output}", hint="A card is Markdown: name it README.md."
        )
    check_free(output, overwrite=overwrite)
    config, bars = InspectConfig(near=near, workers=workers), partial(progress_bar, quiet=quiet)
    inspection = inspect_data(data[0], config, labels=labels, bars=bars)
    write_text(output, dataset_card(inspection, name=name, license=license))
    remark(f"card: {output}")
    if inspection.leaks:
        remark("note: the data leaks between its splits, and the card says so")


@app.command()
@flags.with_label_map
@flags.with_on_error
def split(
    data: flags.Data,
    output: Annotated[Path, output_flag("Manifest: .csv or .parquet.")],
    shares: Annotated[str, flag("Share of each split.")] = "train=0.8,valid=0.1,test=0.1",
    seed: flags.Seed = 0,
    near: Near = 0.95,
    copy: Annotated[
        bool,
        flag("Copy the pictures; else the table names them, or holds them already.", "--copy"),
    ] = False,
    labels: flags.Labels = None,
    workers: flags.Workers = 2,
    overwrite: flags.Overwrite = False,
    quiet: flags.Quiet = False,
) -> None:
    """Deal a dataset out to splits: copies and subjects together, classes balanced."""
    from mien.atomic import check_free
    from mien.data.resplit import parse_shares, resplit
    from mien.data.writers.convert import check_manifest_name, write_manifest

    wanted, bars = parse_shares(shares), partial(progress_bar, quiet=quiet)
    check_manifest_name(output)
    check_free(output, overwrite=overwrite)
    done = resplit(data[0], wanted, seed=seed, near=near, workers=workers, labels=labels, bars=bars)
    write_manifest(done.manifest, output, copy=copy, overwrite=overwrite)
    _told(done.manifest, f"{len(done.manifest)} pictures in {done.groups} groups: {output}")


@app.command()
@flags.with_label_map
def convert(
    data: flags.Data,
    output: Annotated[Path, output_flag("Folder or file to write.")],
    to: Annotated[To, flag("What to write.")],
    copy: Annotated[
        bool,
        flag("csv: copy the pictures, even where the table could name them.", "--copy"),
    ] = False,
    labels: flags.Labels = None,
    overwrite: flags.Overwrite = False,
    quiet: flags.Quiet = False,
) -> None:
    """Write a dataset as a folder by class, a CSV table or Parquet; pixels stay as they are."""
    from mien.data.writers.convert import convert_data

    if to is To.folder:
        check_folder_name(output)
    bars = partial(progress_bar, quiet=quiet)
    manifest, left_out = convert_data(
        data[0], output, to.value, copy=copy, labels=labels, overwrite=overwrite, bars=bars
    )
    _told(manifest, f"{len(manifest) - left_out} pictures: {output}")
    if left_out:
        remark(
            f"note: {left_out} pictures without a majority label have no folder: they are left out"
        )


@app.command()
@flags.with_label_map
@flags.with_on_error
def shard(
    data: flags.Data,
    output: Annotated[Path, output_flag("Folder to write.", folder=True)],
    faces_per_shard: Annotated[int, flag("The most faces in a file.", min=1)] = 8192,
    size: Annotated[int, flag("Store faces ready at this side; 0: pictures as they are.")] = 0,
    color: Annotated[str, flag("With --size: gray or rgb.")] = "gray",
    seed: flags.Seed = 0,
    labels: flags.Labels = None,
    overwrite: flags.Overwrite = False,
    quiet: flags.Quiet = False,
) -> None:
    """Write a dataset as shards, which a training reads one after another: shards:DIR."""
    from mien.atomic import check_free
    from mien.data import read_manifest
    from mien.data.image_stores import source_folders
    from mien.data.registry import parse_spec
    from mien.data.writers.files import check_apart
    from mien.data.writers.parquet import write_shards
    from mien.preprocess import Preprocessing

    pixels = Preprocessing(size=size, color=color) if size else None
    check_free(output, overwrite=overwrite)
    manifest = read_manifest(data[0], labels=labels, seed=seed)
    check_apart(output, [parse_spec(data[0])[1], *source_folders(manifest.images)])
    with progress_bar("write shards", len(manifest), quiet=quiet) as advance:
        count = write_shards(
            manifest, output, faces_per_shard=faces_per_shard, seed=seed, pixels=pixels,
            overwrite=overwrite, progress=advance,
        )  # fmt: skip
    _told(manifest, f"{len(manifest)} faces in {count} shards: {output}")


@app.command()
@flags.with_label_map
def augment(
    data: flags.Data,
    output: Annotated[Path, output_flag("Picture: .png or .jpg.")],
    config: Annotated[Path | None, flag("Recipe (YAML) of mien train.", "-c", "--config")] = None,
    faces: Annotated[int, flag("Faces, a row each.", min=1)] = 6,
    copies: Annotated[int, flag("Changed faces in a row.", min=1)] = 7,
    seed: Annotated[int | None, flag("Seed of faces and changes.")] = None,
    overwrite: flags.Overwrite = False,
) -> None:
    """Draw faces before and after a recipe's augmentation."""
    from PIL import Image

    from mien.atomic import check_free, replacing
    from mien.training.config import TrainConfig

    if output.suffix.lower() not in {".png", ".jpg", ".jpeg"}:
        raise ConfigError("must end in .png, .jpg or .jpeg", subject=f"-o {output}")
    check_free(output, overwrite=overwrite)
    recipe = TrainConfig.load(config, data=data[0], seed=seed)
    with needs_extra("mien data augment", "train"):
        from mien.training.data.augment_sheet import draw_augmentation
    picture = Image.fromarray(draw_augmentation(recipe, faces=faces, copies=copies))
    with replacing(output) as temporary:
        picture.save(temporary)
    remark(f"sheet: {output}")


def _print_findings(inspection: Inspection) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    leakage = Text("LEAKAGE: scores on this data are not honest", style="bold red")
    console.print(leakage if inspection.leaks else Text("no leakage found", style="bold green"))
    styles = {"leak": "bold red", "fault": "yellow", "note": "dim"}
    pairs = [
        inspection.keys(item.groups[0])[:2] if item.groups else [] for item in inspection.findings
    ]
    above = shared_folder([name for pair in pairs for name in pair])
    rows = []
    for item, pair in zip(inspection.findings, pairs, strict=True):
        first = "\n".join([name[len(above) :] for name in pair] or item.details[:1])
        rows.append([Text(item.level, style=styles[item.level]), item.title, first])
    if rows:
        print_table(("", "finding", "first"), rows, left=3)
        if above:
            console.print(Text(f"the pictures lie below {above}", style="dim"))
    _print_counts(inspection.manifest)


def shared_folder(names: Sequence[str]) -> str:
    """Returns the folder that all names begin with, with its slash, or an empty string.

    >>> shared_folder(["a/b/train/1.jpg", "a/b/test/2.jpg"]), shared_folder(["a.jpg", "b.jpg"])
    ('a/b/', '')
    """
    folders = zip(*(name.split("/")[:-1] for name in names), strict=False)
    same = itertools.takewhile(lambda parts: len(set(parts)) == 1, folders)
    return "".join(f"{parts[0]}/" for parts in same)


def _print_counts(manifest: Manifest) -> None:
    counts = manifest.counts()
    rows = [
        [label, *(f"{found[label]:,}" for found in counts.values())]
        for label in next(iter(counts.values()), {})
    ]
    print_table(("", *counts), rows, title="pictures by class")


def _told(manifest: Manifest, what: str) -> None:
    """Prints what was written: pictures by class and split, and what the data hides."""
    _print_counts(manifest)
    remark(what)
    for warning in manifest.warnings:
        remark(f"note: {warning}")
