"""Several workers on one study in a PostgreSQL database that the test starts itself."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

optuna = pytest.importorskip("optuna")
pytest.importorskip("torch")

from optuna.trial import TrialState

from mien.errors import ModelError
from mien.training.tuning.study import (
    count_finished,
    hide_password,
    lost_trials,
    open_storage,
)
from support.faces import write_folder
from support.processes import Command, start

PASSWORD = "open-sesame-7"


def _tool(name: str) -> str:
    found = shutil.which(name) or next(
        (str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None
    )
    if found is None:
        pytest.skip(f"needs PostgreSQL's {name}")
    return found


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Starts a database and yields its URL without user and password."""
    pytest.importorskip("psycopg")
    initdb, control = _tool("initdb"), _tool("pg_ctl")
    # PostgreSQL refuses to run as root, and its user cannot look into root's temporary folders.
    user: dict[str, Any] = {}
    folder = Path(tempfile.mkdtemp(prefix="mien-postgres-"))
    if os.getuid() == 0:
        try:
            shutil.chown(folder, "postgres", "postgres")
        except LookupError:
            folder.rmdir()
            pytest.skip("needs a user named postgres to run PostgreSQL as")
        user = {"user": "postgres", "group": "postgres", "extra_groups": []}
    secret, cluster, port = folder / "password", folder / "cluster", _free_port()
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    quiet: dict[str, Any] = {
        "cwd": folder, "stdout": subprocess.DEVNULL, "timeout": 120, **user,
    }  # fmt: skip
    options = f"-p {port} -k {folder} -h 127.0.0.1 -c fsync=off"
    subprocess.run(
        [initdb, "-D", cluster, "-U", "tuner", "-A", "scram-sha-256", "--pwfile", secret,
         "--no-sync"], check=True, **quiet,
    )  # fmt: skip
    try:
        subprocess.run(
            [control, "-D", cluster, "-l", folder / "log", "-o", options, "-w", "start"],
            check=True, **quiet,
        )  # fmt: skip
        yield f"127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([control, "-D", cluster, "-m", "immediate", "stop"], check=False, **quiet)
        shutil.rmtree(folder, ignore_errors=True)


def _worker(root: Path, url: str, number: int) -> Command:
    # The password comes from the environment: a command line is read by everyone.
    return start(
        "tune", "-c", str(root / "base.yaml"), "--space", str(root / "space.yaml"),
        "-o", str(root / "study"), "--trials", "4", "--heartbeat", "2", log=root / f"log{number}",
        environment={"MIEN_TUNE_STORAGE": url, "PGPASSWORD": PASSWORD},
    )  # fmt: skip


def _kill_in_a_trial(workers: list[Command], study: Any, root: Path) -> tuple[Command, int]:
    """Kills the first worker that is in the middle of a trial; returns it, and the trial."""
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        for process in workers:
            assert process.poll() is None, process.err
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            begun = root / "study" / f"trial_{trial.number:04d}" / "args.yaml"
            pid = trial.user_attrs.get("worker", {}).get("pid")
            victims = [process for process in workers if process.pid == pid]
            if victims and begun.exists():
                victims[0].kill()
                return victims[0], int(trial.number)
        time.sleep(0.02)
    raise AssertionError("no worker began a trial")


@pytest.mark.slow
def test_a_killed_worker_is_replaced_by_the_other(
    server: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    import yaml

    data = write_folder(tmp_path / "faces", 12)
    recipe = {
        "data": f"folder:{data}", "model": "mienet_test", "epochs": 1, "warmup_epochs": 0,
        "batch_size": 16, "threads": 1, "precision": "32", "tag": "drawn",
    }  # fmt: skip
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(recipe))
    (tmp_path / "space.yaml").write_text("lr: {low: 0.001, high: 0.1, log: true}\n")
    url = f"postgresql://tuner:{PASSWORD}@{server}"
    storage = open_storage(url, heartbeat=2)
    request.addfinalizer(storage.engine.dispose)
    workers = [_worker(tmp_path, f"postgresql://tuner@{server}", number) for number in (1, 2)]
    try:
        study = _loaded(storage)
        victim, killed = _kill_in_a_trial(workers, study, tmp_path)
        (other,) = (worker for worker in workers if worker is not victim)
        code = other.wait(900)
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.kill()
    said = other.out + other.err
    assert code == 0, said
    assert PASSWORD not in said
    trials = study.get_trials()
    assert killed in lost_trials(trials)
    assert all(trial.state.is_finished() for trial in trials)
    assert count_finished(trials) == 4
    for number in lost_trials(trials):
        (again,) = (trial for trial in trials if trial.user_attrs.get("again") == number)
        assert again.params == trials[number].params
        assert again.state == TrialState.COMPLETE
    marker = (tmp_path / "study" / "study.json").read_text()
    assert PASSWORD not in marker
    assert (tmp_path / "study" / "best.yaml").is_file()


def _loaded(storage: Any) -> Any:
    deadline = time.monotonic() + 900
    while True:
        try:
            return optuna.load_study(study_name="study", storage=storage)
        except KeyError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_wrong_password_is_told_and_never_shown(server: str, tmp_path: Path) -> None:
    url = f"postgresql://tuner:not-{PASSWORD}@{server}"
    with pytest.raises(ModelError, match=r"password authentication failed") as refused:
        open_storage(url, heartbeat=5)
    assert PASSWORD not in str(refused.value)
    assert "tuner:***@127.0.0.1" in str(refused.value)


def test_passwords_among_the_options_are_hidden() -> None:
    shown = hide_password("postgresql://ann@host/db?sslpassword=secret&application_name=mien")
    assert "secret" not in shown
    assert "application_name=mien" in shown
