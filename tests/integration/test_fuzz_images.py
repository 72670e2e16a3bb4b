"""Mutated image files: nothing but an InputError or an array comes out, and memory stays flat."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import numpy as np
import psutil
import pytest

from mien.errors import InputError
from support.fuzz_images import TARGETS, Target, seeds

MUTANTS = 8_000
MAX_GROWTH_BYTES = 60_000_000


def flip_bits(data: bytearray, rng: np.random.Generator, files: list[bytes]) -> bytearray:
    for spot in rng.integers(0, len(data), rng.integers(1, 9)):
        data[spot] ^= 1 << int(rng.integers(8))
    return data


def edit_header(data: bytearray, rng: np.random.Generator, files: list[bytes]) -> bytearray:
    """Writes extreme numbers where sizes, counts and offsets stand."""
    width = int(rng.choice([1, 2, 4]))
    value = int(rng.choice([0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF]))
    spot = int(rng.integers(0, min(len(data), 200)))
    body = (value & (256**width - 1)).to_bytes(width, "big" if rng.integers(2) else "little")
    data[spot : spot + width] = body
    return data


def truncate(data: bytearray, rng: np.random.Generator, files: list[bytes]) -> bytearray:
    return data[: int(rng.integers(0, len(data)))]


def splice(data: bytearray, rng: np.random.Generator, files: list[bytes]) -> bytearray:
    """Puts a piece of any file over, or between, the bytes of this one."""
    other = files[int(rng.integers(len(files)))]
    start = int(rng.integers(0, len(other)))
    piece = other[start : start + int(rng.integers(1, 400))]
    spot = int(rng.integers(0, len(data)))
    data[spot : spot + len(piece) * int(rng.integers(2))] = piece
    return data


def repeat(data: bytearray, rng: np.random.Generator, files: list[bytes]) -> bytearray:
    """Repeats a chunk of the file many times."""
    start = int(rng.integers(0, len(data)))
    piece = data[start : start + int(rng.integers(1, 100))]
    return data[:start] + piece * int(rng.integers(2, 200)) + data[start:]


MUTATIONS = (flip_bits, flip_bits, edit_header, edit_header, truncate, splice, splice, repeat)


def mutants(count: int, seed: int) -> Iterator[bytes]:
    rng = np.random.default_rng(seed)
    files = seeds()
    for number in range(count):
        data = bytearray(files[number % len(files)])
        for _ in range(int(rng.integers(1, 3))):
            data = MUTATIONS[int(rng.integers(len(MUTATIONS)))](data or bytearray(1), rng, files)
        yield bytes(data)


def outcome(target: Target, data: bytes) -> Exception | None:
    try:
        target(data)
    except Exception as error:  # noqa: BLE001 - any kind is what the test looks for
        return error
    return None


@pytest.mark.parametrize("name", list(TARGETS))
def test_mutated_files_give_a_result_or_an_input_error(name: str) -> None:
    target = TARGETS[name]
    process = psutil.Process()
    refused = 0
    before = 0
    for number, data in enumerate(mutants(MUTANTS, seed=20)):
        if number == MUTANTS // 4:  # allocators and plugins are warm by now
            gc.collect()
            before = process.memory_info().rss
        error = outcome(target, data)
        assert error is None or type(error) is InputError, f"mutant {number}: {error!r}"
        refused += error is not None
        assert len(str(error)) < 1_000, f"mutant {number}: the message holds the file"
    gc.collect()
    grown = process.memory_info().rss - before
    assert grown < MAX_GROWTH_BYTES, f"memory grew by {grown / 1e6:.0f} MB"
    assert 0.2 * MUTANTS < refused < 0.95 * MUTANTS  # else the mutations are too mild or too wild
