"""Jobs on two Ray nodes that act as two machines. The last test ends one of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mien.hub import ASSETS, DEFAULT_MODEL
from mien.jobs.table import read_notes
from support.jobs import CLI, QUIET, Nodes, kill_three_times, parts, read, run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups")


def _workers(output: Path) -> set[str]:
    return {read_notes(output / name)["worker"] for name in parts(output)}


def test_cluster_gives_the_rows_of_this_machine(
    nodes: Nodes, photos: Path, undisturbed: Any, tmp_path: Path
) -> None:
    # A model that lies on one machine only is brought to the others.
    model = shutil.copytree(ASSETS / DEFAULT_MODEL, tmp_path / "model")
    output = tmp_path / "ray.parquet"
    flags = ("--engine", "ray", "--address", nodes.address, "-m", model, "--part-size", 1)
    for _ in range(3):  # on a busy machine one node may have done all before the other began
        done = run(photos, "-o", output, *flags, "--overwrite")
        assert done.returncode == 0, done.stderr
        assert "48 pictures, 48 faces, 0 failed" in done.stdout
        assert read(output).equals(undisturbed)
        if len(_workers(output)) == 2:
            return
    pytest.skip("the rows agree, but this machine is so busy that one node always does them all")


def test_killed_three_times_it_ends_with_the_same_rows(
    nodes: Nodes, photos: Path, undisturbed: Any, tmp_path: Path
) -> None:
    output = tmp_path / "killed.parquet"
    flags = ("--engine", "ray", "--address", nodes.address, "--part-size", 2)
    arguments = (photos, "-o", output, *flags)
    kill_three_times(arguments, output, 24)
    done = run(*arguments, "--resume")
    assert done.returncode == 0, done.stderr
    assert read(output).equals(undisturbed)


def test_stages_of_their_own_give_the_same_rows(nodes: Nodes, faces: Path, tmp_path: Path) -> None:
    flags = ("--detector", "none", "--part-size", 4, "--engine")
    joined, split = tmp_path / "joined.parquet", tmp_path / "split.parquet"
    assert run(faces, "-o", joined, *flags, "local", "-j", 1).returncode == 1  # two are unreadable
    done = run(faces, "-o", split, *flags, "ray", "--stages", "split", "--address", nodes.address)
    assert done.returncode == 1, done.stderr
    # The words of an error name a file of a store as a file.
    one, other = (read(output).drop_columns(["error"]) for output in (joined, split))
    assert one.equals(other)
    assert read(split)["error"].null_count == 12


def test_job_outlives_one_of_its_machines(
    nodes: Nodes, photos: Path, undisturbed: Any, tmp_path: Path
) -> None:
    output = tmp_path / "lost.parquet"
    flags = ("--engine", "ray", "--address", nodes.address, "--part-size", "2")
    process = subprocess.Popen(
        [*CLI, str(photos), "-o", str(output), *flags], stderr=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL, env={**os.environ, **QUIET},
    )  # fmt: skip
    while len(parts(output)) < 4:
        assert process.poll() is None
        time.sleep(0.002)
    nodes.kill_second()
    assert process.poll() is None
    message = process.communicate(timeout=240)[1]
    assert process.returncode == 0, message
    assert read(output).equals(undisturbed)


def test_cluster_that_is_not_there_is_named(faces: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    output = tmp_path / "none.parquet"
    for address in ("127.0.0.1:9", "nowhere"):
        done = run(faces, "-o", output, "--engine", "ray", "--address", address, "--resume")
        assert done.returncode == 1
        assert f"the Ray cluster {address} cannot be reached" in done.stderr
        said = [line.split(":")[0] for line in done.stderr.splitlines()]
        assert [word for word in said if word != "left out"] == ["error"]
    assert not parts(output)
