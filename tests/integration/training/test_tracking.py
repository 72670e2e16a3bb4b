from __future__ import annotations

import csv
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")

from PIL import Image

from mien.hub import read_model_folder
from mien.training.pictures import PICTURES
from mien.training.trackers import report_run
from mien.training.trainer import find_logger
from support.processes import start

#: Runs of two epochs on made numbers, through the trainer that mien train builds: in one process,
#: since what loggers import takes seconds.
_RUN = """
import sys
from pathlib import Path
import torch
from mien.models import create_model, model_spec
from mien.training.config import TrainConfig
from mien.training.data.faces import FaceTensors, make_loader
from mien.training.distributed.processes import SINGLE, process_settings
from mien.training.module import ExpressionModule
from mien.training.trainer import make_trainer
import numpy as np

rng = np.random.default_rng(0)
data = FaceTensors(rng.integers(0, 256, (8, 48, 48, 1), dtype=np.uint8),
                   np.eye(2, dtype=np.float32)[[0, 1] * 4], np.array([0, 1] * 4))
for logger in sys.argv[2:]:
    output = Path(sys.argv[1]) / logger / "my_run"
    output.mkdir(parents=True)
    config = TrainConfig(model="mienet_test", logger=logger, epochs=2, warmup_epochs=0,
                         batch_size=4, device="cpu", precision="32")
    module = ExpressionModule(create_model("mienet_test", num_classes=2), config,
                              model_spec("mienet_test").preprocessing, steps_per_epoch=2)
    with process_settings(config, SINGLE):
        make_trainer(config, output, progress=False).fit(
            module, make_loader(data, 4), make_loader(data, 4, shuffle=False))
"""


#: MLflow's own tables use what SQLAlchemy 2.1 speaks of as past.
_OLD_LOADER = "ignore:The ``noload`` loader strategy is deprecated"


def _run(folder: Path, *loggers: str, address: str = "") -> Path:
    environment = {"WANDB_API_KEY": "", "HOME": str(folder), "MLFLOW_TRACKING_URI": address}
    done = start(
        str(folder), *loggers, program=_RUN, log=folder / "log", environment=environment
    )  # fmt: skip
    assert done.wait(900) == 0, done.err
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run for each of the loggers that are installed: ``<logger>/my_run``."""
    found = [name for name in ("tensorboard", "wandb", "mlflow") if importlib.util.find_spec(name)]
    return _run(tmp_path_factory.mktemp("runs"), *found)


def _of(runs: Path, logger: str) -> Path:
    if not (runs / logger).is_dir():
        pytest.skip(f"needs {logger}")
    return runs / logger / "my_run"


def test_tensorboard_gets_every_epoch(runs: Path) -> None:
    run = _of(runs, "tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {
        "train_loss", "valid_loss", "valid_accuracy", "lr",
    }  # fmt: skip
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    logged = [event.value for event in events.Scalars("valid_loss")]
    assert logged == pytest.approx([float(row["valid_loss"]) for row in rows], rel=1e-5)


def test_wandb_without_a_key_stays_offline(runs: Path) -> None:
    assert list((_of(runs, "wandb") / "wandb").glob("offline-run-*"))


@pytest.fixture
def local_run(runs: Path) -> Path:
    """A run that MLflow tracks in a file: its tables take seconds to make."""
    return _of(runs, "mlflow")


@pytest.mark.filterwarnings(_OLD_LOADER)
def test_mlflow_gets_recipe_and_metrics(local_run: Path) -> None:
    import mlflow

    client = mlflow.tracking.MlflowClient(f"sqlite:///{local_run.resolve()}/mlflow.db")
    (experiment,) = (e for e in client.search_experiments() if e.name == "mien")
    tracked = client.search_runs([experiment.experiment_id])[-1]  # the oldest
    assert tracked.info.run_name == "my_run"
    assert tracked.data.params["epochs"] == "2"
    assert len(client.get_metric_history(tracked.info.run_id, "valid_loss")) == 2


@pytest.fixture
def mlflow_server(local_run: Path, tmp_path: Path) -> Iterator[str]:
    """Starts an MLflow server on a free port, with the tables of the local run; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
        "--backend-store-uri", f"sqlite:///{local_run.resolve()}/mlflow.db",
        "--artifacts-destination", str(tmp_path / "artifacts"), "--workers", "1",
    ]  # fmt: skip
    log = tmp_path / "server.log"
    with log.open("wb") as stream:
        # Its workers are processes of their own: the whole group is stopped at the end.
        server = subprocess.Popen(
            command, cwd=tmp_path, stdout=stream, stderr=stream, start_new_session=True
        )
    try:
        address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 900
        while not _answers(f"{address}/health"):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=20) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.filterwarnings(_OLD_LOADER)
def test_mlflow_server_gets_recipe_and_metrics(mlflow_server: str, tmp_path: Path) -> None:
    run = _run(tmp_path, "mlflow", address=mlflow_server) / "mlflow" / "my_run"
    import mlflow

    client = mlflow.tracking.MlflowClient(mlflow_server)
    (experiment,) = (e for e in client.search_experiments() if e.name == "mien")
    tracked, _local = client.search_runs([experiment.experiment_id])
    assert tracked.info.run_name == "my_run"
    assert tracked.info.status == "FINISHED"
    assert tracked.data.params["model"] == "mienet_test"
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    for name in ("train_loss", "valid_loss", "valid_accuracy"):
        history = client.get_metric_history(tracked.info.run_id, name)
        logged = [metric.value for metric in sorted(history, key=lambda metric: metric.step)]
        assert logged == pytest.approx([float(row[name]) for row in rows], rel=1e-5)
    assert not (run / "mlflow.db").exists()


@pytest.mark.parametrize("name", PICTURES)
def test_a_run_leaves_its_pictures(trained: Path, name: str) -> None:
    with Image.open(trained / name) as picture:
        assert picture.format == "PNG"


def test_tensorboard_gets_pictures_and_scores_at_the_end(trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = read_model_folder(trained)
    report_run(find_logger("tensorboard")(tmp_path), folder)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["images"]) == {Path(name).stem for name in PICTURES}
    assert set(events.Tags()["scalars"]) == {
        "final_accuracy", "final_balanced_accuracy", "final_macro_f1", "final_ece", "final_nll",
    }  # fmt: skip
    (found,) = events.Scalars("final_accuracy")
    assert found.value == pytest.approx(folder.config.metrics["valid"]["accuracy"])


class _Client:
    """Keeps what MLflow's client is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []

    def log_metric(self, run: str, name: str, value: float) -> None:
        self.told.append((run, name, f"{value:.6f}"))

    def log_artifact(self, run: str, path: str, place: str) -> None:
        assert Path(path).is_file()
        self.told.append((run, place, Path(path).name))


def test_mlflow_gets_pictures_scores_and_the_model(trained: Path) -> None:
    pytest.importorskip("mlflow")
    from lightning.pytorch.loggers import MLFlowLogger

    class Logger(MLFlowLogger):
        """Its own tables would take seconds to make."""

        experiment = _Client()
        run_id = "7"

        def __init__(self) -> None:
            pass

    report_run(Logger(), read_model_folder(trained))
    told = Logger.experiment.told
    places = [place for _, place, _ in told]
    assert {run for run, _, _ in told} == {"7"}
    assert places.count("pictures") == len(PICTURES)
    names = {name for _, place, name in told if place == "model"}
    assert names == {"config.json", "model.safetensors", "model.onnx", "README.md"}
    assert places.count("final_accuracy") == 1


def test_weights_and_biases_gets_pictures_scores_and_the_model(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = find_logger("wandb")(tmp_path)
    report_run(logger, read_model_folder(trained))
    assert wandb.run is None, "the run is finished"
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    names = {path.name.split("_")[0] for path in run.rglob("*.png")}
    assert names == {"curves", "confusion", "valid", "augmented"}
