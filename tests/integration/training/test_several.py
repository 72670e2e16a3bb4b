from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import mien
from mien import EmotionRecognizer
from mien.data import read_manifest
from mien.errors import ConfigError
from mien.evaluation import evaluate
from mien.evaluation.page import write_report
from mien.hub import read_model_folder
from mien.training.config import TrainConfig
from mien.training.cross_validation import cross_validate
from mien.training.data.faces import EpochOrder
from mien.training.network import trained_spec
from mien.training.run import load_data, train
from support.faces import draw_face, write_folder

LABELS = ("happiness", "sadness", "neutral")


def write_other(root: Path) -> Path:
    """Writes a second, smaller dataset in another form, with one label that the first lacks."""
    rows = []
    for split, count in (("train", 8), ("valid", 6)):
        for class_id, label in enumerate((*LABELS, "contempt")):
            for at in range(count):
                name = f"{split}_{label}_{at}.png"
                root.mkdir(exist_ok=True)
                seed = 90_000 + class_id * 1000 + at + (500 if split == "valid" else 0)
                draw_face(label, seed).save(root / name)
                rows.append(f"{name},{label},{split}")
    (root / "faces.csv").write_text("file_name,label,split\n" + "\n".join(rows) + "\n")
    return root / "faces.csv"


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    root = tmp_path_factory.mktemp("several")
    first = write_folder(root / "first", 24)
    return [
        f"folder:{first}",
        f"csv:{write_other(root / 'other')},name=other,weight=0.5,license=MIT",
    ]


def _config(specs: list[str], **more: object) -> TrainConfig:
    return TrainConfig.load(None, {}, **{
        "data": specs, "model": "mienet_test", "epochs": 2, "warmup_epochs": 1, "batch_size": 16,
        "lr": 0.05, "ema_decay": 0.9, "threads": 1, "precision": "32", "tag": "drawn", "mixup": 1.0,
        "logit_adjustment": 1.0, "logit_adjustment_by": "source", "monitor": "macro_f1/other",
        "device": "cpu", "seed": 3, **more,
    })  # fmt: skip


@pytest.fixture(scope="module")
def run(specs: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("run") / "run"
    train(_config(specs), output, progress=False)
    return output


def test_each_dataset_is_scored_by_itself(run: Path) -> None:
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    assert list(rows[0])[:7] == [
        "epoch", "train_loss", "valid_loss", "valid_accuracy", "lr", "seconds", "faces_per_s",
    ]  # fmt: skip
    assert list(rows[0])[7:] == [
        "valid_macro_f1", "valid_accuracy/folder", "valid_macro_f1/folder", "valid_accuracy/other",
        "valid_macro_f1/other", "valid_mean_accuracy", "valid_mean_macro_f1",
        "train_clean_loss", "train_clean_accuracy",
    ]  # fmt: skip
    for row in rows:
        both = [float(row[f"valid_accuracy/{name}"]) for name in ("folder", "other")]
        assert float(row["valid_mean_accuracy"]) == pytest.approx(np.mean(both))
        assert min(both) - 1e-6 <= float(row["valid_accuracy"]) <= max(both) + 1e-6


def test_the_run_says_what_it_was_trained_on(run: Path, specs: list[str]) -> None:
    config = read_model_folder(run).config
    assert config.schema.name == "ferplus8"
    assert config.data == "folder + other"
    assert config.sources == {
        "folder": {"kind": "folder", "license": "unknown", "train": 72, "share": 0.5},
        "other": {"kind": "csv", "license": "MIT", "train": 32, "share": 0.5},
    }
    card = (run / "README.md").read_text()
    assert "| other | csv | MIT | 32 | 50.0% |" in card
    assert "| folder | folder | unknown | 72 | 50.0% |" in card
    report = json.loads((run / "eval" / "valid.json").read_text())
    assert list(report["sources"]) == ["folder", "other"]
    assert f"| mean |  | {100 * report['mean']['accuracy']:.1f} % |" in card
    assert TrainConfig.load(run / "args.yaml").data == tuple(specs)
    record = json.loads((run / "split.json").read_text())
    assert record["data"] == specs
    assert {key.split("/")[0] for key in record["valid"]} == {"folder", "other"}
    # As many happy faces as sad ones are drawn; the prior counts them as they are drawn.
    shares = dict(zip(config.schema.labels, config.prior.shares, strict=True))  # type: ignore[union-attr]
    assert shares["contempt"] == pytest.approx(0.125, abs=0.002)


def test_a_run_of_several_is_gone_on_with(run: Path, specs: list[str]) -> None:
    with pytest.raises(ConfigError, match="monitor"):
        train(_config(specs, monitor="loss"), run, progress=False, resume=True)
    before = (run / "metrics.csv").read_text()
    train(_config(specs), run, progress=False, resume=True)
    assert (run / "metrics.csv").read_text() == before
    assert mien.training.TrainResult.read(run).plot() is not None


def test_weights_draw_faces_by_dataset(specs: list[str]) -> None:
    config = _config(specs)
    data = load_data(config, trained_spec(config).preprocessing)
    assert data.drawn is not None
    assert data.names == ("folder", "other")
    inside = np.array(data.train.sources) == "other"
    assert float(data.drawn[inside].sum()) == pytest.approx(0.5)
    assert len(set(data.drawn[inside].tolist())) == 1
    order = EpochOrder(len(data.train), 16, weights=data.drawn)
    found = []
    for epoch in range(20):
        order.set_epoch(epoch)
        found += [inside[batch].mean() for batch in order]
    assert np.mean(found) == pytest.approx(0.5, abs=0.03)
    limited = load_data(_config(specs, limit=20), trained_spec(config).preprocessing)
    assert set(limited.train.sources.tolist()) == {"folder", "other"}  # type: ignore[union-attr]


def test_the_report_page_has_the_table(run: Path, specs: list[str], tmp_path: Path) -> None:
    recognizer, manifest = EmotionRecognizer(run, detector="none"), read_manifest(specs)
    evaluation = evaluate(recognizer, manifest)
    page = write_report(tmp_path / "page.html", evaluation, recognizer, manifest).read_text()
    assert '<td data-name="dataset">other</td>' in page
    assert '<td data-name="dataset">mean</td>' in page


@pytest.mark.parametrize(
    ("monitor", "message"),
    [("accuracy/othr", "Did you mean 'accuracy/other'"), ("acuracy", "Did you mean 'accuracy'")],
)
def test_an_unknown_monitor_is_refused(
    specs: list[str], tmp_path: Path, monitor: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(_config(specs, monitor=monitor), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_shards_among_several_are_refused(specs: list[str], tmp_path: Path) -> None:
    from mien.data.writers.parquet import write_shards

    write_shards(read_manifest(specs[0]), tmp_path / "shards", faces_per_shard=50)
    config = _config([f"shards:{tmp_path / 'shards'}", specs[1]], monitor="loss")
    with pytest.raises(ConfigError, match="train on the shards alone"):
        load_data(config, trained_spec(config).preprocessing)


def test_macro_f1_of_one_dataset_chooses_too(specs: list[str], tmp_path: Path) -> None:
    train(
        _config(specs[:1], monitor="macro_f1", epochs=1, warmup_epochs=0),
        tmp_path / "run",
        progress=False,
    )
    (row,) = csv.DictReader((tmp_path / "run" / "metrics.csv").read_text().splitlines())
    assert list(row)[7:] == ["valid_macro_f1", "train_clean_loss", "train_clean_accuracy"]
    config = read_model_folder(tmp_path / "run").config
    assert (config.data, dict(config.sources)) == ("folder", {})
    assert TrainConfig.load(tmp_path / "run" / "args.yaml").data == specs[0]
    assert json.loads((tmp_path / "run" / "split.json").read_text())["data"] == specs[0]


@pytest.mark.slow
def test_classes_are_drawn_alike_inside_each_dataset(specs: list[str], tmp_path: Path) -> None:
    more = {"sampler": "weighted", "logit_adjustment": 0.0, "monitor": "mean_accuracy"}
    train(_config(specs, patience=1, **more), tmp_path / "run", progress=False)
    prior = read_model_folder(tmp_path / "run").config.prior
    assert prior is not None
    assert prior.strength == 0


@pytest.mark.slow
def test_folds_of_several(specs: list[str], tmp_path: Path) -> None:
    config = _config(specs, epochs=1, warmup_epochs=0.5)
    found = cross_validate(config, tmp_path / "folds", folds=2, near=1.0, progress=False)
    assert len(found.pooled.keys) == len(found.folds[0].keys) + len(found.folds[1].keys)
    again = cross_validate(
        config, tmp_path / "folds", folds=2, near=1.0, progress=False, resume=True
    )
    assert again.scores() == found.scores()
