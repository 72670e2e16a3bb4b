from __future__ import annotations

import numpy as np
import pytest

from mien import EmotionRecognizer, InputError, ModelError
from mien.explanation import explain_crops
from mien.explanation.rollout import roll_out


def test_one_block_by_hand() -> None:
    # Heads average to rows (0, 1) and (1/2, 1/2); half of each token goes past the block.
    attention = np.array([[[[0, 1], [0, 1]], [[0, 1], [1, 0]]]], float)
    assert roll_out(attention).tolist() == [[0.5, 0.5], [0.25, 0.75]]


def test_two_blocks_by_hand() -> None:
    first = [[[0, 0, 1], [0, 1, 0], [0, 0, 1]]]  # the class token reads patch 2
    second = [[[0, 1, 0], [0, 0, 1], [0, 0, 1]]]  # then patch 1, which has read itself alone
    found = roll_out(np.array([first, second], float))
    # (A2 + I) / 2 = [[.5, .5, 0], ...] times (A1 + I) / 2 = [[.5, 0, .5], [0, 1, 0], [0, 0, 1]].
    assert found[0].tolist() == [0.25, 0.5, 0.25]
    assert found[1].tolist() == [0.0, 0.5, 0.5]
    assert found.sum(axis=1).tolist() == [1.0, 1.0, 1.0]
    # The order matters: the other way around, patch 1 gets less.
    assert roll_out(np.array([second, first], float))[0].tolist() == [0.25, 0.25, 0.5]


def test_other_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="L, heads, T, T"):
        roll_out(np.zeros((2, 3, 3)))
    with pytest.raises(InputError, match="L, heads, T, T"):
        roll_out(np.zeros((1, 2, 3, 4)))


def test_network_without_attention_is_told_of_other_methods() -> None:
    pytest.importorskip("torch")
    recognizer = EmotionRecognizer(detector="none")
    with pytest.raises(ModelError, match=r"no attention.*gradcam.*occlusion"):
        explain_crops(recognizer, np.zeros((1, 48, 48, 1), np.uint8), method="rollout")
