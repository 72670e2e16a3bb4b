from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

optuna = pytest.importorskip("optuna")
pytest.importorskip("torch")

from optuna.trial import TrialState
from PIL import Image

from mien.errors import ConfigError, DataError
from mien.hub import read_model_folder
from mien.training.config import TrainConfig
from mien.training.run import train
from mien.training.tuning.config import TuneConfig, make_space
from mien.training.tuning.run import TrialReporter, tune
from mien.training.tuning.study import (
    ATTEMPTS,
    count_finished,
    lost_trials,
    open_storage,
    put_back_lost,
    this_worker,
)
from support.faces import write_folder
from support.processes import start

if TYPE_CHECKING:
    from mien.training.tuning.result import TuneResult

#: Trials that a test asks for itself have no thread that tells of their life.
_ASKED = "ignore:Heartbeat of storage is supposed to be used"
SPACE = make_space({"lr": {"low": 0.001, "high": 0.1, "log": True}, "flip": [0.0, 0.5]})


def _recipe(data: Path, **more: Any) -> TrainConfig:
    return TrainConfig.make({
        "data": f"folder:{data}", "model": "mienet_test", "epochs": 2, "warmup_epochs": 0,
        "batch_size": 16, "ema_decay": 0.5, "threads": 1, "precision": "32", "tag": "drawn", **more,
    })  # fmt: skip


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("data") / "faces", 16)


@pytest.fixture(scope="module")
def result(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> TuneResult:
    """A study of three trials, then gone on with to four."""
    output = tmp_path_factory.mktemp("studies") / "drawn"
    told: list[int] = []
    settings: dict[str, Any] = {"metric": "macro_f1", "sampler": "random", "seed": 4}
    first = tune(
        _recipe(faces), SPACE, output=output, settings=TuneConfig(trials=3, **settings),
        done=lambda row: told.append(row.number),
    )  # fmt: skip
    weights = output / "trial_0001" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    more = tune(
        _recipe(faces), SPACE, output=output, settings=TuneConfig(trials=4, **settings),
        resume=True, done=lambda row: told.append(row.number),
    )  # fmt: skip
    assert told == [0, 1, 2, 3]
    assert more.rows[:3] == first.rows
    assert weights.stat().st_mtime_ns == before
    return more


def test_each_trial_is_a_run_whose_score_is_its_value(result: TuneResult) -> None:
    assert [row.state for row in result.rows] == ["complete"] * 4
    for row in result.rows:
        folder = read_model_folder(result.output / row.folder)
        assert row.value == pytest.approx(folder.config.metrics["valid"]["macro_f1"], abs=1e-6)
        args = TrainConfig.load(folder.path / "args.yaml")
        assert {key: getattr(args, key) for key in SPACE} == row.values
        assert 0.001 <= row.values["lr"] <= 0.1


def test_a_study_gone_on_with_draws_new_values(result: TuneResult) -> None:
    assert len({row.values["lr"] for row in result.rows}) == 4


def test_the_best_trial_becomes_a_recipe(result: TuneResult) -> None:
    assert result.best.value == max(row.value or 0 for row in result.rows)
    assert result.ranked()[0].value == result.best.value
    path = result.output / "best.yaml"
    assert TrainConfig.load(path) == result.recipe
    assert f"{result.best.value:.4f}" in path.read_text()
    assert result.recipe.lr == result.best.values["lr"]


def test_table_json_and_pictures_say_the_same(result: TuneResult) -> None:
    rows = list(csv.DictReader((result.output / "trials.csv").read_text().splitlines()))
    assert [float(row["value"]) for row in rows] == [row.value for row in result.rows]
    assert [float(row["lr"]) for row in rows] == [row.values["lr"] for row in result.rows]
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["best"]["number"] == result.best.number
    assert not result.importances, "from four trials nothing follows"
    assert not (result.output / "importances.png").exists()
    for name in ("history.png", "values.png"):
        with Image.open(result.output / name) as picture:
            assert picture.width > 500
            found = picture.convert("RGB").getcolors(1 << 20)
        assert found is not None
        colors = {color for _, color in found}
        assert (47, 95, 179) in colors
    assert not list(result.output.rglob(".*.png"))


def test_a_study_is_neither_overwritten_nor_mixed(result: TuneResult, faces: Path) -> None:
    settings = TuneConfig(metric="macro_f1", trials=4)
    with pytest.raises(ConfigError, match="--resume"):
        tune(_recipe(faces), SPACE, output=result.output, settings=settings)
    with pytest.raises(ConfigError, match=r"another recipe: epochs \(2 then, 3 now\)"):
        tune(_recipe(faces, epochs=3), SPACE, output=result.output, settings=settings, resume=True)
    with pytest.raises(ConfigError, match=r"another space: flip"):
        tune(
            _recipe(faces), {**SPACE, **make_space({"flip": [0.1, 0.2]})}, output=result.output,
            settings=settings, resume=True,
        )  # fmt: skip
    with pytest.raises(ConfigError, match="holds no study"):
        tune(_recipe(faces), SPACE, output=faces, settings=settings)


def test_impossible_things_are_refused_before_anything_is_written(
    faces: Path, tmp_path: Path
) -> None:
    output = tmp_path / "study"
    cases: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        ({"model": ["mienet_test", "mienet_tset"]}, {}, "mienet_test"),
        ({"optimizer": ["sgd", "timm:lino"]}, {}, "lion"),
        ({"lr": {"low": 0.01, "high": 0.1}}, {"sampler": "grid"}, "continuous"),
    ]
    for space, settings, said in cases:
        with pytest.raises(ConfigError, match=said):
            tune(_recipe(faces), make_space(space), output=output, settings=TuneConfig(**settings))
    with pytest.raises(ConfigError, match="--data"):
        tune(TrainConfig.make({}), SPACE, output=output, settings=TuneConfig())
    assert not output.exists()


def test_failed_trials_are_told_and_the_study_goes_on(faces: Path, tmp_path: Path) -> None:
    # A grid visits both; 1e30 ends in a loss that is no number.
    space = make_space({"lr": [0.01, 1e30]})
    recipe = _recipe(faces, epochs=1, ema_decay=0, weight_decay=0)
    settings = TuneConfig(sampler="grid", trials=9)
    found = tune(recipe, space, output=tmp_path / "study", settings=settings)
    assert sorted(row.state for row in found.rows) == ["complete", "failed"]
    (failed,) = (row for row in found.rows if row.state == "failed")
    assert failed.values == {"lr": 1e30}
    assert "diverged" in failed.error
    assert found.recipe.lr == 0.01


def test_a_study_of_failures_says_why(tmp_path: Path, faces: Path) -> None:
    space, recipe = make_space({"lr": [1e29, 1e30]}), _recipe(faces, ema_decay=0, weight_decay=0)
    with pytest.raises(DataError, match=r"none of the 2 trials.*2 failed.*diverged"):
        tune(recipe, space, output=tmp_path / "study", settings=TuneConfig(trials=2))
    rows = list(csv.DictReader((tmp_path / "study" / "trials.csv").read_text().splitlines()))
    assert [row["state"] for row in rows] == ["failed", "failed"]


def test_a_study_on_data_that_is_gone_leaves_nothing(tmp_path: Path, faces: Path) -> None:
    recipe = _recipe(faces).to_dict()
    gone = TrainConfig.make({**recipe, "data": f"folder:{tmp_path / 'gone'}"})
    with pytest.raises(DataError, match="there is no"):
        tune(gone, SPACE, output=tmp_path / "study", settings=TuneConfig(trials=2))
    assert not (tmp_path / "study").exists()


def test_a_hopeless_trial_ends_after_its_epoch(faces: Path, tmp_path: Path) -> None:
    # No accuracy reaches 2, so that the first report is the last.
    study = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.ThresholdPruner(lower=2.0)
    )
    trial = study.ask()
    with pytest.raises(optuna.TrialPruned, match="epoch 1"):
        train(
            _recipe(faces, epochs=50), tmp_path / "run", progress=False,
            callbacks=[TrialReporter(trial, "accuracy")],
        )  # fmt: skip
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").read_text().splitlines()))
    reported = study.trials[0].intermediate_values
    assert reported == {1: pytest.approx(float(rows[0]["valid_accuracy"]))}
    assert len(rows) == 1


def _study(path: Path) -> Any:
    storage = open_storage(f"sqlite:///{path}", heartbeat=10)
    return optuna.create_study(storage=storage, study_name="made", direction="maximize")


def _begin(study: Any, **worker: Any) -> Any:
    trial = study.ask()
    trial.set_user_attr("worker", {**this_worker(), **worker})
    trial.suggest_float("lr", 0.0, 1.0)
    return trial


@pytest.mark.filterwarnings(_ASKED)
def test_trials_of_dead_workers_are_put_back(tmp_path: Path) -> None:
    from sqlalchemy import text

    study = _study(tmp_path / "made.db")
    alive = _begin(study)
    dead = _begin(study, pid=2**22 + 1)
    reused = _begin(study, started="1")
    silent = _begin(study, host="elsewhere")
    heard = _begin(study, host="elsewhere")
    storage = study._storage
    backend = getattr(storage, "_backend", storage)
    for trial in (alive, silent, heard):
        storage.record_heartbeat(trial._trial_id)
    with backend.engine.begin() as connection:
        connection.execute(
            text("UPDATE trial_heartbeats SET heartbeat = '2020-01-01' WHERE trial_id = :id"),
            {"id": silent._trial_id},
        )
    put_back_lost(study, heartbeat=10)
    put_back_lost(study, heartbeat=10)
    states = [trial.state for trial in study.trials]
    running, failed = TrialState.RUNNING, TrialState.FAIL
    assert states[:5] == [running, failed, failed, failed, running]
    assert states[5:] == [TrialState.WAITING] * 3
    assert lost_trials(study.trials) == {dead.number, reused.number, silent.number}
    assert count_finished(study.trials) == 0
    waiting = {trial.user_attrs["again"]: trial.params for trial in study.trials[5:]}
    assert waiting == {number: study.trials[number].params for number in (1, 2, 3)}
    # The next one to be drawn is one of them, with its values.
    again = study.ask()
    known = study.trials[again.number].user_attrs["again"]
    assert again.suggest_float("lr", 0.0, 1.0) == study.trials[known].params["lr"]


@pytest.mark.filterwarnings(_ASKED)
def test_a_trial_that_kills_its_workers_is_given_up(tmp_path: Path) -> None:
    study = _study(tmp_path / "made.db")
    for _ in range(ATTEMPTS):
        _begin(study, pid=2**22 + 1)
        put_back_lost(study, heartbeat=10)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL] * ATTEMPTS
    assert count_finished(study.trials) == 1


@pytest.mark.slow
def test_a_killed_study_resumes_with_the_trial_it_was_in(tmp_path: Path, faces: Path) -> None:
    import yaml

    output, base, space = (tmp_path / name for name in ("study", "base.yaml", "space.yaml"))
    base.write_text(yaml.safe_dump(_recipe(faces, epochs=1).to_dict()))
    space.write_text("lr: {low: 0.001, high: 0.1, log: true}\nflip: [0.0, 0.5]\n")
    words = [
        "tune", "-c", str(base), "--space", str(space), "-o", str(output), "--trials", "2",
        "--format", "json",
    ]  # fmt: skip
    process = start(*words, log=tmp_path / "log")
    process.wait_for(output / "trial_0001" / "args.yaml")
    process.kill()
    done = start(*words, "--resume", log=tmp_path / "log")
    assert done.wait() == 0, done.err
    rows = json.loads(done.out)["trials"]
    assert [row["state"] for row in rows] == ["complete", "lost", "complete"]
    assert rows[2]["values"] == rows[1]["values"] != rows[0]["values"]
