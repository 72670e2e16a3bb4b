"""Two runs into one folder: the second is told, and nothing is mixed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mien.atomic import check_free, replacing_folder, write_text
from mien.errors import ConfigError
from mien.jobs.outputs import FolderStore
from mien.locks import locked
from mien.training.config import TrainConfig
from mien.training.directory import ARGS, METRICS, prepare_directory


def test_a_training_into_a_used_folder_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    first, second = TrainConfig(data="folder:a"), TrainConfig(data="folder:b", lr=0.2)
    output = tmp_path / "run"
    assert prepare_directory(output, first, resume=False, overwrite=False) is None
    before = (output / ARGS).read_text()
    (output / METRICS).write_text("epoch,train_loss\n")
    with pytest.raises(ConfigError, match="exists already"):
        prepare_directory(output, second, resume=False, overwrite=False)
    with pytest.raises(ConfigError, match=r"was started with other values: data .* lr"):
        prepare_directory(output, second, resume=True, overwrite=False)
    assert (output / ARGS).read_text() == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("x")
    with pytest.raises(ConfigError, match="is no run directory"):
        prepare_directory(tmp_path / "mine", first, resume=False, overwrite=True)


def test_a_second_job_is_refused_while_the_first_one_writes(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with FolderStore(tmp_path / "job").locked():
        words = "another job is writing there"
        with pytest.raises(ConfigError, match=words), FolderStore(tmp_path / "job").locked():
            pass
    with FolderStore(tmp_path / "job").locked():
        pass


def test_a_second_run_is_told_which_process_writes(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    run = tmp_path / "runs" / "x"
    with locked(run, "training"):
        process = f" (process {os.getpid()})" if Path("/proc/locks").exists() else ""
        with pytest.raises(ConfigError) as refused, locked(run, "training"):
            pass
    assert str(refused.value) == (
        f"{run}: another training is writing there{process}. Wait for it, or give another --output."
    )
    assert list(run.iterdir()) == []
    with locked(run, "training"), locked(tmp_path / "runs", "training"):
        pass


def test_a_lock_goes_with_the_process_that_took_it_and_not_with_its_children(
    tmp_path: Path,
) -> None:
    pytest.importorskip("fcntl")
    code = (
        "import os, sys, time; from pathlib import Path; from mien.locks import locked\n"
        "with locked(Path(sys.argv[1]), 'training'):\n"
        "    if not os.fork():  # the child has let go of the lock by then\n"
        "        print('locked', flush=True)\n"
        "    time.sleep(60)\n"
    )
    started = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, start_new_session=True
    )
    with started:
        assert started.stdout is not None
        try:
            assert started.stdout.readline() == b"locked\n"
            with pytest.raises(ConfigError, match="another training"), locked(tmp_path, "training"):
                pass
            started.kill()
            started.wait()
            with locked(tmp_path, "training"):
                pass
        finally:
            os.killpg(started.pid, 9)


def test_two_folders_of_one_name_are_one_of_them_and_whole(tmp_path: Path) -> None:
    barrier, target = threading.Barrier(2), tmp_path / "out"

    def write(who: str) -> bool:
        try:
            with replacing_folder(target) as place:
                for name in ("a", "b", "c"):
                    (place / name).write_text(who)
                barrier.wait(5)
        except OSError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(write, ("one", "two")))
    assert any(done)
    assert len({path.read_text() for path in target.iterdir()}) == 1
    assert sorted(path.name for path in target.iterdir()) == ["a", "b", "c"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_many_writers_of_one_file_leave_one_whole_text(tmp_path: Path) -> None:
    texts = [letter * 50_000 for letter in "abcdefgh"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: write_text(tmp_path / "x.txt", text), texts))
    assert (tmp_path / "x.txt").read_text() in texts
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]
    with pytest.raises(ConfigError, match="exists already"):
        check_free(tmp_path / "x.txt", overwrite=False)
