"""What is said about the counts of a dataset, by ``inspect`` and by ``train``."""

from __future__ import annotations

import pytest

from mien.data.balance import balance_remarks


@pytest.mark.parametrize(
    ("counts", "kinds"),
    [
        ({"train": {"a": 300, "b": 100}}, []),
        ({"train": {"a": 400, "b": 100}}, ["imbalance"]),
        ({"train": {"a": 400, "b": 100, "c": 0}}, ["imbalance"]),
        ({"train": {"a": 100, "b": 49}}, ["few_faces"]),
        ({"train": {"a": 5000, "b": 5000}, "valid": {"a": 500, "b": 500}}, []),
        # 50 and 60 % of 1,000: 4.4 and more standard errors of 0.0166, and 10 points.
        ({"train": {"a": 5000, "b": 5000}, "valid": {"a": 600, "b": 400}}, ["share_shift"] * 2),
        # 4 points are too few to say, however certain they are.
        ({"train": {"a": 5000, "b": 5000}, "valid": {"a": 5400, "b": 4600}}, []),
        # 20 points of 50 faces are chance.
        ({"train": {"a": 500, "b": 500}, "test": {"a": 30, "b": 20}}, ["few_faces"]),
        ({"train": {"a": 500, "b": 500}, "test": {"a": 195, "b": 190}}, []),
        ({"train": {"a": 500, "b": 500}, "test": {"a": 391, "b": 19}}, ["share_shift"] * 2
         + ["few_faces"]),
    ],
)  # fmt: skip
def test_remarks_on_counts(counts: dict[str, dict[str, int]], kinds: list[str]) -> None:
    assert [kind for kind, _ in balance_remarks(counts)] == kinds


def test_a_remark_has_the_numbers() -> None:
    remarks = balance_remarks(
        {"train": {"happy": 600, "sad": 60}, "valid": {"happy": 19, "sad": 81}}
    )
    assert [line for _, line in remarks] == [
        "train has 10.0 times as many faces of happy (600) as of sad (60)",
        "happy is 91% of train and 19% of valid",
        "sad is 9% of train and 81% of valid",
        "valid has fewer than 20 faces of a class: happy 19",
        "valid has 100 faces: an accuracy on it is known to within 10 points at best",
    ]
