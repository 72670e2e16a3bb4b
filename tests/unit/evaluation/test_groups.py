from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mien import ConfigError, DataError
from mien.data import read_manifest
from mien.evaluation.groups import by_group, holm, newcombe_interval, permutation_test, read_groups
from support.evaluation_groups import _evaluation


@pytest.mark.parametrize(
    ("counts", "expected"),
    # Table II of Newcombe 1998, method 10.
    [
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.1705, 0.8090)),
        ((10, 10, 0, 10), (0.6075, 1.0000)),
        ((0, 10, 0, 10), (-0.2775, 0.2775)),
    ],
)
def test_intervals_of_differences_are_the_published_ones(
    counts: tuple[int, int, int, int], expected: tuple[float, float]
) -> None:
    assert newcombe_interval(*counts) == pytest.approx(expected, abs=1e-4)


def test_permutation_test_has_the_exact_p_value() -> None:
    stats = pytest.importorskip("scipy.stats")
    right = np.array([1] * 30 + [0] * 10 + [1] * 12 + [0] * 13, bool)
    codes = np.array([0] * 40 + [1] * 25)
    p, each, expected = permutation_test(right, np.zeros(65, int), codes, permutations=20000)
    hits = np.arange(26)
    chances = stats.hypergeom(65, 42, 25).pmf(hits)
    exact = chances[np.abs(hits - 25 * 42 / 65) >= 25 * 42 / 65 - 12 - 1e-9].sum()
    assert expected == pytest.approx([40 * 42 / 65, 25 * 42 / 65])
    assert p == pytest.approx(exact, abs=4 * np.sqrt(exact / 20000))
    assert each == pytest.approx([exact, exact], abs=4 * np.sqrt(exact / 20000))


def test_permutation_test_agrees_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(1)
    right, codes = rng.random(80) < 0.7, np.repeat([0, 1], 40)
    found = stats.permutation_test(
        (right[codes == 0].astype(float), right[codes == 1].astype(float)),
        lambda a, b, axis: np.abs(a.mean(axis) - b.mean(axis)), vectorized=True,
        n_resamples=5000, alternative="greater", rng=np.random.default_rng(2),
    )  # fmt: skip
    p, _, _ = permutation_test(right, np.zeros(80, int), codes, permutations=5000)
    assert p == pytest.approx(found.pvalue, abs=0.03)


def test_group_is_not_blamed_for_its_labels() -> None:
    # Both groups: 9 of 10 of the easy class, 3 of 10 of the hard one. Only the mix differs.
    parts = [(0, 0, 90, 10), (0, 1, 6, 14), (1, 0, 18, 2), (1, 1, 30, 70)]
    rows = [
        (group, label, hit)
        for group, label, hits, misses in parts
        for hit in [True] * hits + [False] * misses
    ]
    group, label, right = (np.array(column) for column in zip(*rows, strict=True))
    report = by_group(_evaluation(right, label), np.where(group == 0, "a", "b"), "g")
    first, second = report.groups
    assert first.scores["accuracy"] == pytest.approx(0.8)
    assert first.expected == pytest.approx(0.8)
    assert second.expected == pytest.approx(0.4)
    assert first.gap == pytest.approx(0.4)
    assert report.p_value == 1.0
    assert first.recall == pytest.approx({"bad": 0.9, "good": 0.3})
    json.dumps(report.to_dict(), allow_nan=False)


def test_holm_by_hand() -> None:
    assert holm([0.5]) == [0.5]
    assert holm([0.02, 0.01, 0.9]) == pytest.approx([0.04, 0.03, 0.9])
    assert holm([0.6, 0.7]) == [1.0, 1.0]


def test_too_few_groups_are_refused() -> None:
    evaluation = _evaluation(np.ones(60, bool), np.zeros(60, int))
    with pytest.raises(DataError, match=r"two groups.*no value \(10\), a \(50\)"):
        by_group(evaluation, np.array(["a"] * 50 + [""] * 10), "g")
    with pytest.raises(ConfigError, match="permutations"):
        permutation_test(np.ones(2, bool), np.zeros(2, int), np.zeros(2, int), permutations=0)


def test_columns_are_found_beside_the_data(dataset: Path, tmp_path: Path) -> None:
    manifest = read_manifest(f"csv:{dataset / 'faces.csv'}")
    hands = read_groups(manifest, "Hand")
    assert set(hands) == {"left", "right"}
    assert manifest.groups is not None
    assert read_groups(manifest, "subject_id").tolist() == list(manifest.groups)
    part = manifest.split("valid")
    assert len(read_groups(part, "hand")) == len(part)
    folder = Path(shutil.copytree(dataset / "faces", tmp_path / "faces"))
    plain = read_manifest(f"folder:{folder}")
    with pytest.raises(DataError, match="--group-table"):
        read_groups(plain, "hand")
    assert set(read_groups(plain, "hand", table=dataset / "hands.csv")) == {"left", "right"}
    with pytest.raises(DataError, match="names none"):
        read_groups(plain, "hand", table=dataset / "faces.csv")
    with pytest.raises(DataError, match="Did you mean 'hand'"):
        read_groups(manifest, "hands")
