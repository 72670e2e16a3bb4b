"""``mien data inspect``, ``card``, ``split``, ``convert``, ``shard`` and ``augment``."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mien.cli import new_app
from mien.cli.datatables import print_counts, print_findings
from mien.cli.flags import Data, Format, Labels, License, Overwrite, Print, Quiet, Seed, Workers
from mien.cli.progress import progress_bar, progress_bars
from mien.cli.tables import failed, remark
from mien.errors import ConfigError, needs_extra

app = new_app(help="Inspect a dataset, split it without leaks, write it in another form.")


class To(StrEnum):
    """What a dataset is written as."""

    folder = "folder"
    csv = "csv"
    parquet = "parquet"


Near = Annotated[
    float,
    typer.Option("--near", help="Smallest correlation of near copies.", min=0.5, max=1.0),
]


@app.command()
def inspect(
    data: Data,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Report (.html); the JSON is written next to it."),
    ] = None,
    format: Print = Format.table,  # noqa: A002 - the flag is --format
    faces: Annotated[
        str | None,
        typer.Option("--faces", help="Detector that searches for pictures without a face (slow)."),
    ] = None,
    suspects: Annotated[
        bool, typer.Option("--suspects", help="List labels that are probably wrong (minutes).")
    ] = False,
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="Model whose features assess the labels.")
    ] = None,
    near: Near = 0.95,
    labels: Labels = None,
    workers: Workers = 2,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Find what a dataset hides: leaks, copies, broken files, odd labels.

    Exit code 1 on leakage: copies, sources or subjects in two splits.
    """
    from mien.atomic import check_free, write_text
    from mien.data.inspection import InspectConfig, inspect_data
    from mien.reporting import check_output

    if output is not None:
        check_output(output, (".html", ".htm"), overwrite=overwrite)
        for path in (output, output.with_suffix(".json")):
            check_free(path, overwrite=overwrite)
    inspection = inspect_data(
        data,
        InspectConfig(
            near=near, faces=faces, suspects=suspects, model=model, workers=workers, seed=seed
        ),
        labels=labels,
        bars=progress_bars(quiet=quiet),
    )
    found = json.dumps(inspection.to_dict(), indent=2, ensure_ascii=False) + "\n"
    if output is not None:
        from mien.data.inspection.page import inspection_page

        write_text(output, inspection_page(inspection))
        write_text(output.with_suffix(".json"), found)
    if format is Format.json:
        print(found, end="")
    else:
        print_findings(inspection)
    if output is not None:
        remark(f"report: {output}")
    if inspection.leaks:
        raise failed("the data leaks between its splits")


@app.command()
def card(
    data: Data,
    output: Annotated[Path, typer.Option("-o", "--output", help="Card: README.md.")],
    license: License = "unknown",  # noqa: A002 - the flag is --license
    name: Annotated[
        str | None, typer.Option("--name", help="What to call the dataset; else its last folder.")
    ] = None,
    near: Near = 0.95,
    labels: Labels = None,
    workers: Workers = 2,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
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
    inspection = inspect_data(
        data,
        InspectConfig(near=near, workers=workers),
        labels=labels,
        bars=progress_bars(quiet=quiet),
    )
    write_text(output, dataset_card(inspection, name=name, license=license))
    remark(f"card: {output}")
    if inspection.leaks:
        remark("note: the data leaks between its splits, and the card says so")


@app.command()
def split(
    data: Data,
    output: Annotated[Path, typer.Option("-o", "--output", help="Manifest: .csv or .parquet.")],
    shares: Annotated[
        str, typer.Option("--shares", help="Share of each split.")
    ] = "train=0.8,valid=0.1,test=0.1",
    seed: Seed = 0,
    near: Near = 0.95,
    copy: Annotated[
        bool,
        typer.Option(
            "--copy", help="Copy the pictures; else the table names them, or holds them already."
        ),
    ] = False,
    labels: Labels = None,
    workers: Workers = 2,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Deal a dataset out to splits: copies and subjects together, classes balanced."""
    from mien.atomic import check_free
    from mien.data.resplit import parse_shares, resplit
    from mien.data.writers.convert import check_manifest_name, write_manifest

    wanted = parse_shares(shares)
    check_manifest_name(output)
    check_free(output, overwrite=overwrite)
    done = resplit(
        data,
        wanted,
        seed=seed,
        near=near,
        workers=workers,
        labels=labels,
        bars=progress_bars(quiet=quiet),
    )
    manifest = done.manifest
    write_manifest(manifest, output, copy=copy, overwrite=overwrite)
    print_counts(manifest.counts())
    remark(f"{len(manifest)} pictures in {done.groups} groups: {output}")
    if done.unreadable:
        remark(f"note: {len(done.unreadable)} unreadable pictures are left out")


@app.command()
def convert(
    data: Data,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder or file to write.")],
    to: Annotated[To, typer.Option("--to", help="What to write.")],
    copy: Annotated[
        bool,
        typer.Option(
            "--copy", help="csv: copy the pictures, even where the table could name them."
        ),
    ] = False,
    labels: Labels = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Write a dataset as a folder by class, a CSV table or Parquet; pixels stay as they are."""
    from mien.data.writers.convert import convert_data

    manifest, left_out = convert_data(
        data,
        output,
        to.value,
        copy=copy,
        labels=labels,
        overwrite=overwrite,
        bars=progress_bars(quiet=quiet),
    )
    print_counts(manifest.counts())
    remark(f"{len(manifest) - left_out} pictures: {output}")
    for warning in manifest.warnings:
        remark(f"note: {warning}")
    if left_out:
        remark(
            f"note: {left_out} pictures without a majority label have no folder: they are left out"
        )


@app.command()
def shard(
    data: Data,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")],
    faces_per_shard: Annotated[
        int, typer.Option("--faces-per-shard", help="The most faces in a file.", min=1)
    ] = 8192,
    size: Annotated[
        int,
        typer.Option("--size", help="Store faces ready at this side; 0: pictures as they are."),
    ] = 0,
    color: Annotated[str, typer.Option("--color", help="With --size: gray or rgb.")] = "gray",
    seed: Seed = 0,
    labels: Labels = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
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
    manifest = read_manifest(data, labels=labels, seed=seed)
    check_apart(output, [parse_spec(data)[1], *source_folders(manifest.images)])
    with progress_bar("write shards", len(manifest), quiet=quiet) as advance:
        count = write_shards(
            manifest,
            output,
            faces_per_shard=faces_per_shard,
            seed=seed,
            pixels=pixels,
            overwrite=overwrite,
            progress=advance,
        )
    print_counts(manifest.counts())
    remark(f"{len(manifest)} faces in {count} shards: {output}")
    for warning in manifest.warnings:
        remark(f"note: {warning}")


@app.command()
def augment(
    data: Data,
    output: Annotated[Path, typer.Option("-o", "--output", help="Picture: .png or .jpg.")],
    config: Annotated[
        Path | None, typer.Option("-c", "--config", help="Recipe (YAML) of mien train.")
    ] = None,
    faces: Annotated[int, typer.Option("--faces", help="Faces, a row each.", min=1)] = 6,
    copies: Annotated[int, typer.Option("--copies", help="Changed faces in a row.", min=1)] = 7,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of faces and changes.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw faces before and after a recipe's augmentation."""
    from PIL import Image

    from mien.atomic import check_free, replacing
    from mien.training.config import TrainConfig

    if output.suffix.lower() not in {".png", ".jpg", ".jpeg"}:
        raise ConfigError("must end in .png, .jpg or .jpeg", subject=f"-o {output}")
    check_free(output, overwrite=overwrite)
    recipe = TrainConfig.load(config, data=data, seed=seed)
    with needs_extra("mien data augment", "train"):
        from mien.training.data.augment_sheet import draw_augmentation
    picture = Image.fromarray(draw_augmentation(recipe, faces=faces, copies=copies))
    with replacing(output) as temporary:
        picture.save(temporary)
    remark(f"sheet: {output}")
