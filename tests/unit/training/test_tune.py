from __future__ import annotations

from pathlib import Path

import pytest

optuna = pytest.importorskip("optuna")
pytest.importorskip("torch")


from mien.errors import DataError
from mien.training.tuning.run import TrialReporter
from support.faces import write_folder


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("data") / "faces", 16)


def test_the_value_is_that_of_the_epoch_that_is_kept() -> None:
    reporter = TrialReporter(optuna.trial.FixedTrial({}), "valid_loss")
    reporter.monitored = [{"valid_accuracy": value} for value in (0.5, 0.7, 0.7, 0.6)]
    reporter.values = [1.4, 0.9, 0.8, 0.7]
    assert reporter.value == 0.9
    reporter.values[1] = float("nan")
    with pytest.raises(DataError, match="no number"):
        _ = reporter.value


def test_the_epoch_that_is_kept_is_that_of_the_monitor() -> None:
    reporter = TrialReporter(optuna.trial.FixedTrial({}), "accuracy", "loss")
    reporter.monitored = [{"valid_loss": value} for value in (1.5, 0.7, 0.8)]
    reporter.values = [0.9, 0.5, 0.8]
    assert reporter.value == 0.5
