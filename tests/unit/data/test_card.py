"""Dataset cards: what the Hub's own parser reads in them, and figures counted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.cli import main
from mien.data.card import dataset_card
from mien.data.inspection import inspect_data
from support.faces import Draw


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["data", "card", *(str(argument) for argument in arguments)])
    return int(stop.value.code or 0)


def cells(card: str, first: str) -> list[str]:
    """Returns the cells of the table row that starts with a word."""
    row = next(line for line in card.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in row.strip("|").split("|")[1:]]


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory, draw: Draw) -> Path:
    """Kaggle's layout: 6 + 4 + 2 train and 2 + 2 + 0 test pictures, one of them copied across."""
    root = tmp_path_factory.mktemp("machine") / "archive"
    seed = 0
    for split, counts in (("train", (6, 4, 2)), ("test", (2, 2, 0))):
        for label, shape, count in zip(
            ("angry", "happy", "sad"), ("neutral", "happiness", "sadness"), counts, strict=True
        ):
            folder = root / "Emotions Dataset" / "Emotions Dataset" / split / label
            folder.mkdir(parents=True)
            for _ in range(count):
                seed += 1
                draw(shape, seed).save(folder / f"{split}{seed:03}.png")
    inner = root / "Emotions Dataset" / "Emotions Dataset"
    pixels = np.asarray(draw("happiness", 500))
    Image.fromarray(np.stack([pixels, pixels, pixels // 2], axis=2)).save(
        inner / "train/happy/colour.png"
    )
    (inner / "test/angry/copy.png").write_bytes((inner / "train/angry/train001.png").read_bytes())
    return root


def test_card_counts_what_lies_there(faces: Path) -> None:
    card = dataset_card(inspect_data(f"hes:{faces}"))
    # 13 train pictures: 6 angry, 5 happy with the one in colour, 2 sad; 5 test: 3, 2, 0.
    assert cells(card, "angry") == ["6 (46.2%)", "3 (60.0%)"]
    assert cells(card, "happy") == ["5 (38.5%)", "2 (40.0%)"]
    assert cells(card, "sad") == ["2 (15.4%)", "0 (0.0%)"]
    assert "18 labelled pictures" in card
    assert "(13 train, 5 test)" in card
    assert "4.5 times as many pictures as the smallest" in card  # 9 angry, 2 sad
    assert (
        "18 of 18 can be decoded. 1 different size(s) in pixels, the most common: 96x96 (18)."
        in (card)
    )
    assert "17 are gray and 1 in colour." in card
    assert cells(card, "width") == ["96"] * 5


def test_card_says_that_the_data_leaks_and_what_is_not_known(faces: Path) -> None:
    card = dataset_card(inspect_data(f"hes:{faces}"))
    assert "The splits leak" in card
    assert "- leak: 1 test picture is byte-identical to a train picture" in card
    assert "- fault: 1 class is absent from a split" in card
    assert "no votes: how far raters agree is not known" in card
    assert "- who is on which picture is not known" in card
    assert "Unknown: nobody has stated" in card
    (faces / "Emotions Dataset/Emotions Dataset/test/angry/copy.png").rename(faces / "copy.txt")
    try:
        clean = dataset_card(inspect_data(f"hes:{faces}"))
    finally:
        (faces / "copy.txt").rename(faces / "Emotions Dataset/Emotions Dataset/test/angry/copy.png")
    assert "No copies are in more than one split." in clean
    assert "leak:" not in clean


def test_card_tells_neither_paths_nor_pictures(faces: Path) -> None:
    card = dataset_card(inspect_data(f"hes:{faces}"))
    assert "mien data card -d hes:archive`" in card
    assert str(faces.parent) not in card
    assert "train001" not in card


def test_agreement_is_the_share_of_votes_for_the_label(tmp_path: Path, draw: Draw) -> None:
    # Nine of ten, six of ten and all votes for the label; the last one has no majority.
    rows = ["file_name,split,happiness,sadness,neutral"]
    votes = ((9, 1, 0), (4, 6, 0), (0, 0, 10), (5, 5, 0))
    for index, counts in enumerate(votes):
        draw("happiness", index).save(tmp_path / f"{index}.png")
        rows.append(f"{index}.png,train,{','.join(map(str, counts))}")
    (tmp_path / "faces.csv").write_text("\n".join(rows) + "\n")
    card = dataset_card(inspect_data(f"csv:{tmp_path / 'faces.csv'}"))
    assert cells(card, "happiness") == ["1 (33.3%)"]
    assert "On 3 pictures with a majority label, 83.3% of the votes" in card
    assert "33.3% of these pictures are unanimous. 1 picture has no majority." in card
    assert "| all | 3 | 83.3% |" in card
    assert cells(card, "no majority label") == ["1"]


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ("unknown", {"license": "unknown"}),
        ("cc-by-4.0", {"license": "cc-by-4.0"}),
        ("Ask: the author", {"license": "other", "license_name": "Ask: the author"}),
    ],
)
def test_the_hub_reads_the_card(
    faces: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    terms: str,
    expected: dict[str, str],
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    target = tmp_path / "README.md"
    assert run("-d", f"hes:{faces}", "-o", target, "--license", terms, "-q", "--name", "no") == 0
    assert "leaks between its splits" in capsys.readouterr().err
    card = hub.DatasetCard.load(target)
    data = card.data.to_dict()
    assert {key: data[key] for key in expected} == expected
    assert data["pretty_name"] == "no"
    assert data["size_categories"] == ["n<1K"]
    assert data["task_categories"] == ["image-classification"]
    assert card.text.lstrip().startswith("# no\n")


def test_a_card_is_markdown_and_replaces_nothing(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("-d", f"hes:{faces}", "-o", tmp_path / "card.html") == 2
    target = tmp_path / "README.md"
    target.write_text("mine")
    assert run("-d", f"hes:{faces}", "-o", target) == 2
    assert target.read_text() == "mine"
    assert "--overwrite" in capsys.readouterr().err
    assert run("-d", f"hes:{faces}", "-o", target, "-q", "--overwrite") == 0
    assert target.read_text().startswith("---\n")


def test_votes_of_real_faces(shared: Path, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    table = pq.read_table(shared / "data/ferplus/valid.parquet").slice(0, 200)
    pq.write_table(table, tmp_path / "valid.parquet")
    inspection = inspect_data(f"ferplus:{tmp_path}")
    card = dataset_card(inspection, name="FER+", license="mit")
    manifest = inspection.manifest
    chosen = manifest.with_labels()
    shares = chosen.targets[np.arange(len(chosen)), chosen.class_ids]
    assert cells(card, "all")[1] == f"{shares.mean():.1%}"
    assert "`mit`, as the writer of this card states" in card
