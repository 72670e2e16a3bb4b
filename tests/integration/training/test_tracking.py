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

from support.processes import start

#: A run of two epochs on made numbers, through the trainer that mien train builds.
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

output = Path(sys.argv[1]) / "my_run"
output.mkdir()
config = TrainConfig(model="mienet_test", logger=sys.argv[2], epochs=2, warmup_epochs=0,
                     batch_size=4, device="cpu", precision="32")
rng = np.random.default_rng(0)
data = FaceTensors(rng.integers(0, 256, (8, 48, 48, 1), dtype=np.uint8),
                   np.eye(2, dtype=np.float32)[[0, 1] * 4], np.array([0, 1] * 4))
module = ExpressionModule(create_model("mienet_test", num_classes=2), config,
                          model_spec("mienet_test").preprocessing, steps_per_epoch=2)
with process_settings(config, SINGLE):
    make_trainer(config, output, progress=False).fit(
        module, make_loader(data, 4), make_loader(data, 4, shuffle=False))
"""


#: MLflow's own tables use what SQLAlchemy 2.1 speaks of as past.
_OLD_LOADER = "ignore:The ``noload`` loader strategy is deprecated"


def _run(folder: Path, logger: str, address: str = "") -> Path:
    if importlib.util.find_spec(logger) is None:
        pytest.skip(f"needs {logger}")
    environment = {"WANDB_API_KEY": "", "HOME": str(folder), "MLFLOW_TRACKING_URI": address}
    done = start(
        str(folder), logger, program=_RUN, log=folder / "log", environment=environment
    )  # fmt: skip
    assert done.wait(900) == 0, done.err
    return folder / "my_run"


def test_tensorboard_gets_every_epoch(tmp_path: Path) -> None:
    run = _run(tmp_path, "tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    assert {"train_loss", "valid_loss", "valid_accuracy"} <= set(events.Tags()["scalars"])
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    logged = [event.value for event in events.Scalars("valid_loss")]
    assert logged == pytest.approx([float(row["valid_loss"]) for row in rows], rel=1e-5)


def test_wandb_without_a_key_stays_offline(tmp_path: Path) -> None:
    run = _run(tmp_path, "wandb")
    assert list((run / "wandb").glob("offline-run-*"))


@pytest.fixture(scope="module")
def local_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that MLflow tracks in a file: its tables take seconds to make."""
    return _run(tmp_path_factory.mktemp("local"), "mlflow")


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
    run = _run(tmp_path, "mlflow", mlflow_server)
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


def test_a_run_leaves_its_curves(trained: Path) -> None:
    with Image.open(trained / "curves.png") as picture:
        assert picture.format == "PNG"
