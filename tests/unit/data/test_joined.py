from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mien.arrays import F32
from mien.data import Manifest, read_manifest
from mien.data.image_stores import JoinedImages, PixelImages, holds_shards
from mien.data.inspection import inspect_data
from mien.data.sources import Source, draw_shares, parse_sources
from mien.data.split import read_held_out, write_split
from mien.errors import ConfigError, DataError, MienError
from mien.labels import LabelSchema

THREE = ("happy", "sad", "angry")


def folder(root: Path, names: tuple[str, ...] = THREE, *, copies: int = 4, salt: str = "") -> Path:
    """Writes a folder with train and valid whose pictures differ by their bytes."""
    for split in ("train", "valid"):
        for name in names:
            (root / split / name).mkdir(parents=True)
            for at in range(copies):
                data = f"{salt}{split}{name}{at}".encode()
                (root / split / name / f"{at}.png").write_bytes(data)
    return root


@pytest.fixture
def two(tmp_path: Path) -> list[str]:
    first = folder(tmp_path / "first", salt="one")
    second = folder(tmp_path / "second", (*THREE, "fear"), salt="two")
    return [f"folder:{first},name=a", f"folder:{second},name=b,weight=0.5,license=CC-BY"]


def keys(manifest: Manifest) -> list[str]:
    return [manifest.images.key(index) for index in range(len(manifest))]


def test_specs_say_name_weight_and_terms(two: list[str]) -> None:
    assert parse_sources(two) == (
        Source("a", two[0], "folder"),
        Source("b", two[1], "folder", 0.5, "CC-BY"),
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("name=x", "name=x"), "has the name 'x', as another"),
        (("name=x y", ""), "must be of letters"),
        (("weight=0", ""), "above 0 and at most 1"),
        (("weight=half", ""), "weight=half"),
        (("wieght=1", ""), "Did you mean 'weight'"),
    ],
)
def test_impossible_sources_are_refused(options: tuple[str, str], message: str) -> None:
    specs = [f"folder:.{',' if option else ''}{option}" for option in options]
    with pytest.raises(ConfigError, match=message):
        parse_sources(specs)


def test_weight_is_the_share_of_the_faces_drawn() -> None:
    plain = [Source("a", "", "csv"), Source("b", "", "csv"), Source("c", "", "csv")]
    counts = {"a": 300, "b": 20, "c": 100}
    assert draw_shares(plain, counts) is None
    halves = [Source("a", "", "csv", 0.5), Source("b", "", "csv", 0.5)]
    assert draw_shares(halves, {"a": 300, "b": 20}) == {"a": 0.5, "b": 0.5}


@pytest.mark.parametrize(
    ("weights", "counts", "message"),
    [
        ((0.7, 0.7, None), (9, 9, 9), "stay below 1"),
        ((0.5, 0.5, None), (9, 9, 9), "stay below 1"),
        ((0.2, 0.2, 0.2), (9, 9, 9), "must sum to 1: a 0.2"),
        ((0.2, None, None), (0, 9, 9), "no training faces: a"),
    ],
)
def test_weights_that_make_no_sense_are_refused(
    weights: tuple[float | None, ...], counts: tuple[int, ...], message: str
) -> None:
    sources = [Source(n, "", "csv", w) for n, w in zip("abc", weights, strict=True)]
    with pytest.raises(ConfigError, match=message):
        draw_shares(sources, dict(zip("abc", counts, strict=True)))


def test_joined_manifest_holds_all_in_the_smallest_schema(two: list[str]) -> None:
    joined = read_manifest(two)
    alone = [read_manifest(spec) for spec in two]
    assert joined.schema.name == "fer7"  # hes3 and four of fer7
    assert len(joined) == sum(map(len, alone))
    assert keys(joined) == [f"{n}/{k}" for n, m in zip("ab", alone, strict=True) for k in keys(m)]
    assert joined.sources is not None
    assert joined.sources.tolist() == ["a"] * len(alone[0]) + ["b"] * len(alone[1])
    assert joined.images.read(len(alone[0])) == alone[1].images.read(0)
    labels = [joined.schema.labels[k] for k in joined.class_ids[: len(alone[0])]]
    spelt = {"happy": "happiness", "sad": "sadness", "angry": "anger"}
    assert labels == [spelt[alone[0].schema.labels[k]] for k in alone[0].class_ids]
    np.testing.assert_array_equal(joined.targets.argmax(1), joined.class_ids)
    part = joined.split("valid").select([0, -1 + len(joined.split("valid"))])
    assert part.sources is not None
    assert part.sources.tolist() == ["a", "b"]
    assert any(text.startswith("b: no pictures of") for text in joined.warnings)


def test_one_dataset_is_what_it_was(two: list[str]) -> None:
    alone, listed = read_manifest(two[0]), read_manifest(two[:1])
    assert alone.sources is None is listed.sources
    assert keys(alone) == keys(listed)
    assert keys(alone)[0].startswith("train/")
    assert alone.fingerprint() == listed.fingerprint()
    joined = read_manifest(two)
    bare = Manifest(**{**vars(joined), "sources": None})
    assert joined.fingerprint() != bare.fingerprint()


def test_labels_that_the_schema_lacks_are_said(two: list[str], tmp_path: Path) -> None:
    joined = read_manifest(two, labels="hes3")
    assert len(joined) == 48
    assert any("b: 8 pictures, such as " in t and "(fear)" in t for t in joined.warnings)
    fear = folder(tmp_path / "fear", ("fear", "neutral"))
    with pytest.raises(DataError, match="has no label of the schema 'hes3'; it has fear, neutral"):
        read_manifest([two[0], f"folder:{fear}"], labels="hes3")


def test_labels_of_no_known_schema_are_named(two: list[str], tmp_path: Path) -> None:
    odd = folder(tmp_path / "odd", ("smile", "frown"))
    with pytest.raises(ConfigError, match=r"folder: frown, smile.*--labels"):
        read_manifest([two[0], f"folder:{odd}"])
    same = folder(tmp_path / "same", ("smile", "frown"), salt="s")
    assert read_manifest([f"folder:{odd}", f"folder:{same}"]).schema.labels == ("frown", "smile")


def of_votes(schema: LabelSchema, votes: F32, class_ids: list[int]) -> Manifest:
    """Returns training pictures that are called by letters from x on."""
    N = len(votes)
    return Manifest(
        "votes", schema, PixelImages("xyz"[:N], np.zeros((N, 4, 4), np.uint8)), votes,
        np.array(class_ids), np.array(["train"] * N), None, np.zeros(N, bool),
    )  # fmt: skip


def test_contempt_goes_where_a_model_s_contempt_goes() -> None:
    from mien.data.joined import to_schema
    from mien.labels import FER7, FERPLUS8, mapping_matrix

    votes = np.zeros((3, 8), np.float32)
    contempt, fear = FERPLUS8.index("contempt"), FERPLUS8.index("fear")
    votes[0, [contempt, fear]] = 0.25, 0.75
    votes[1, contempt] = 1
    votes[2, [contempt, fear]] = 0.5, 0.5
    found = to_schema(of_votes(FERPLUS8, votes, [fear, contempt, -1]), FER7)
    shares = mapping_matrix(FERPLUS8, FER7)[contempt]
    only = np.eye(7)[FER7.index("fear")]
    assert keys(found) == ["x", "y", "z"]
    expected = [0.25 * shares + 0.75 * only, shares, 0.5 * (shares + only)]
    np.testing.assert_allclose(found.targets, expected, atol=1e-6)
    assert found.class_ids.tolist() == [FER7.index("fear"), -1, -1]
    assert "1 pictures of contempt have shares of the labels of 'fer7'" in found.warnings[0]


def test_votes_for_a_label_that_the_schema_lacks_are_scaled_away() -> None:
    from mien.data.joined import to_schema
    from mien.labels import FER7, HES3

    votes = np.zeros((3, 7), np.float32)
    fear, sadness = FER7.index("fear"), FER7.index("sadness")
    votes[0, [fear, sadness]] = 0.25, 0.75
    votes[1, fear] = 1
    votes[2, [fear, sadness]] = 0.5, 0.5
    found = to_schema(of_votes(FER7, votes, [sadness, fear, -1]), HES3)
    assert keys(found) == ["x", "z"]
    assert found.targets[:, HES3.index("sad")].tolist() == [1, 1]
    assert found.class_ids.tolist() == [HES3.index("sad"), -1]
    assert "1 pictures, such as y (fear), are left out" in found.warnings[0]


def test_copies_in_another_ones_valid_leave_train(two: list[str], tmp_path: Path) -> None:
    source = tmp_path / "second" / "valid" / "fear" / "0.png"
    shutil.copy(source, tmp_path / "first" / "train" / "sad" / "0.png")
    joined = read_manifest(two)
    assert "a/train/sad/0.png" not in keys(joined)
    assert "1 train pictures, such as a/train/sad/0.png, are byte" in joined.warnings[-1]
    assert [k for k, bad in zip(keys(joined), joined.leaked, strict=True) if bad] == [
        "b/valid/fear/0.png"
    ]
    kept = read_manifest([f"{two[0]},dedupe=false", two[1]])
    assert "a/train/sad/0.png" in keys(kept)
    assert "stay in train (dedupe=false)" in kept.warnings[-1]


def test_groups_are_no_longer_shared(tmp_path: Path) -> None:
    table = "file_name,label,split,subject_id\n"
    for name in ("one", "two"):
        folder(tmp_path / name, salt=name)
        rows = [f"train/{c}/{k}.png,{c},train,s{k % 2}" for c in THREE for k in range(4)]
        rows += [f"valid/{c}/{k}.png,{c},valid,s{k + 2}" for c in THREE for k in range(4)]
        (tmp_path / name / "faces.csv").write_text(table + "\n".join(rows) + "\n")
    joined = read_manifest([f"{tmp_path / 'one/faces.csv'}", f"{tmp_path / 'two/faces.csv'}"])
    assert joined.groups is not None
    assert {"csv/s0", "csv2/s0"} < set(joined.groups)
    rows = [f"train/{c}/{k}.png,{c},train" for c in THREE for k in range(4)]
    (tmp_path / "two/plain.csv").write_text("file_name,label,split\n" + "\n".join(rows) + "\n")
    mixed = read_manifest([f"{tmp_path / 'one/faces.csv'}", f"{tmp_path / 'two/plain.csv'}"])
    assert mixed.groups is not None
    assert len(set(mixed.groups[24:])) == 12


def test_inspection_finds_copies_between_datasets(two: list[str], tmp_path: Path) -> None:
    from support.faces import draw_face

    for at, path in enumerate(sorted(tmp_path.rglob("*.png"))):
        draw_face("happiness", at).save(path)
    shutil.copy(tmp_path / "second/valid/sad/0.png", tmp_path / "first/train/sad/1.png")
    inspection = inspect_data(two)
    pairs = [inspection.keys(group) for item in inspection.leaks for group in item.groups]
    assert ["a/train/sad/1.png", "b/valid/sad/0.png"] in [sorted(pair) for pair in pairs]


def test_a_run_of_several_holds_out_by_dataset(two: list[str], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    valid = read_manifest(two).split("valid")
    write_split(tmp_path / "run", valid, seed=0)
    record = json.loads((tmp_path / "run" / "split.json").read_text())
    assert record["data"] == two
    assert record["sources"] == ["a", "b"]
    alone = {k.split("/", 1)[1] for k in record["valid"] if k.startswith("b/")}
    assert read_held_out([tmp_path / "run"], "", two[1].split(",")[0]) == {"run": alone}
    assert read_held_out([tmp_path / "run"], "b") == {"run": alone}


def test_pixels_are_compared_by_their_bytes() -> None:
    images = JoinedImages({"p": PixelImages(["x"], np.zeros((1, 4, 4), np.uint8))})
    assert images.size(0) == len(images.read(0))
    assert images.path(0) is None
    assert not holds_shards(images)


@pytest.mark.parametrize(
    ("specs", "message"),
    [([], "no dataset: give KIND:PATH"), (["folder:/no/such", "folder:."], "there is no /no/such")],
)
def test_what_cannot_be_read_is_refused(specs: list[str], message: str) -> None:
    with pytest.raises(MienError, match=message):
        read_manifest(specs)


def test_a_path_that_could_not_be_told_apart_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a + b").mkdir()
    odd, plain = f"folder:{tmp_path / 'a + b'}", f"folder:{tmp_path}"
    assert parse_sources(odd)[0].name == "folder"  # one alone is no trouble
    with pytest.raises(ConfigError, match="stands between"):
        parse_sources([plain, odd])
