"""What the service's batcher waits for, puts together, and gives back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.serve.batcher import Batcher


class _Network:
    """Doubles each face once it may, and remembers how many came together."""

    def __init__(self) -> None:
        self.go, self.inside = threading.Event(), threading.Event()
        self.sizes: list[int] = []
        self.failing = 255

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.inside.set()
        assert self.go.wait(5)
        self.sizes.append(len(crops))
        if (crops == self.failing).any():
            raise ValueError(f"{len(crops)} faces")
        return crops.reshape(len(crops), 1).astype(np.float32) * 2


@contextmanager
def _held(network: _Network, **options: Any) -> Iterator[Callable[..., Future[Any]]]:
    """Yields how to submit faces to a batcher whose network runs one face and waits."""
    batcher = Batcher(network, **options)

    def submit(*values: int) -> Future[Any]:
        return batcher.submit(np.array(values, np.uint8).reshape(-1, 1, 1, 1))

    first = submit(1)
    assert network.inside.wait(5)
    yield submit
    network.go.set()
    assert first.result(5)[0].tolist() == [[2]]
    batcher.close()
    assert not batcher._thread.is_alive()


@given(st.lists(st.lists(st.integers(0, 200), min_size=1, max_size=5), max_size=8))
def test_each_request_gets_its_own_faces_and_no_batch_is_larger_than_need_be(
    requests: list[list[int]],
) -> None:
    network = _Network()
    with _held(network, batch_size=6, wait_s=0) as submit:
        futures = [submit(*values) for values in requests]
    answers = [future.result(5)[0].ravel().tolist() for future in futures]
    assert answers == [[2 * value for value in values] for values in requests]
    # Greedy: requests are taken until six faces are together, the last one whole.
    expected, faces = [1], 0
    for values in requests:
        faces += len(values)
        if faces >= 6:
            expected.append(faces)
            faces = 0
    assert network.sizes == expected + [faces] * bool(faces)


def test_the_time_of_a_run_is_shared_by_faces() -> None:
    network = _Network()
    with _held(network, batch_size=8, wait_s=0) as submit:
        futures = [submit(1), submit(2, 3, 4)]
    (_, one), (_, three) = (future.result(5) for future in futures)
    assert 0 < one < 5
    assert three == pytest.approx(3 * one)


def test_seconds_of_a_run_are_those_that_it_took() -> None:
    def slow(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        time.sleep(0.05)
        return np.zeros((len(crops), 1), np.float32)

    batcher = Batcher(slow, batch_size=2, wait_s=0)
    _, seconds = batcher.submit(np.zeros((2, 1, 1, 1), np.uint8)).result(5)
    batcher.close()
    assert 0.04 < seconds < 2


def test_runs_are_counted_and_the_thread_is_set_up_first() -> None:
    network, seen = _Network(), list[Any]()
    with _held(
        network,
        batch_size=8,
        wait_s=0,
        observe=seen.append,
        start=lambda: seen.append(threading.current_thread().name),
    ) as submit:
        submit(1, 2)
        submit(3)
    assert seen[0] == "mien-batcher"
    assert [run.faces for run in seen[1:]] == [1, 3]
    # The two that came while the first run was held waited for it;
    assert [len(run.waited_s) for run in seen[1:]] == [1, 2]
    assert all(0 <= waited_s < 5 for run in seen[1:] for waited_s in run.waited_s)


def test_it_waits_while_more_is_coming_and_only_then() -> None:
    network, coming = _Network(), threading.Event()
    network.go.set()
    batcher = Batcher(network, batch_size=2, wait_s=5, more_coming=coming.is_set)
    face = np.zeros((1, 1, 1, 1), np.uint8)
    start = time.monotonic()
    batcher.submit(face).result(5)
    assert time.monotonic() - start < 2, "nothing is coming: it does not wait"
    coming.set()
    first = batcher.submit(face)
    time.sleep(0.05)
    assert not first.done()
    second = batcher.submit(face)
    first.result(5)
    second.result(5)
    batcher.close()
    assert network.sizes == [1, 2]
    assert time.monotonic() - start < 3, "a full batch starts at once"


def test_a_wait_ends() -> None:
    network = _Network()
    network.go.set()
    batcher = Batcher(network, batch_size=9, wait_s=0.05)
    start = time.monotonic()
    batcher.submit(np.zeros((1, 1, 1, 1), np.uint8)).result(5)
    assert 0.04 < time.monotonic() - start < 2
    batcher.close()


def test_closing_answers_what_waits_and_ends_a_wait() -> None:
    network = _Network()
    network.go.set()
    batcher = Batcher(network, batch_size=9, wait_s=30)
    futures = [batcher.submit(np.full((1, 1, 1, 1), v, np.uint8)) for v in (3, 4)]
    batcher.close()
    assert [future.result(0)[0].tolist() for future in futures] == [[[6]], [[8]]]


def test_a_face_that_fails_fails_alone_and_with_its_own_words() -> None:
    network, seen = _Network(), list[Any]()
    with _held(network, batch_size=8, wait_s=0, observe=seen.append) as submit:
        futures = [submit(7), submit(255), submit(8, 9)]
    assert futures[0].result(5)[0].tolist() == [[14]]
    assert str(futures[1].exception(5)) == "1 faces"
    assert futures[2].result(5)[0].tolist() == [[16], [18]]
    assert network.sizes == [1, 4, 1, 1, 2]
    assert [run.faces for run in seen] == [1, 1, 2], "runs that failed are not counted"


def test_what_is_cancelled_costs_no_run() -> None:
    network = _Network()
    with _held(network, batch_size=1, wait_s=0) as submit:
        assert submit(5).cancel()
        kept = submit(6)
    assert kept.result(5)[0].tolist() == [[12]]
    assert network.sizes == [1, 1]


def test_the_thread_does_not_keep_the_process() -> None:
    network = _Network()
    with _held(network, batch_size=1, wait_s=0):
        assert any(t.name == "mien-batcher" and t.daemon for t in threading.enumerate())


def test_a_face_that_fails_with_one_other_fails_alone() -> None:
    network = _Network()
    with _held(network, batch_size=8, wait_s=0) as submit:
        futures = [submit(7), submit(255)]
    assert futures[0].result(5)[0].tolist() == [[14]]
    assert isinstance(futures[1].exception(5), ValueError)


def test_settings_are_given_by_name() -> None:
    with pytest.raises(TypeError):
        Batcher(_Network(), 8, 0.0)  # type: ignore[call-arg]
