from __future__ import annotations

import pytest

import mien.video


def test_every_public_name_loads() -> None:
    for name in mien.video.__all__:
        assert getattr(mien.video, name) is not None
    with pytest.raises(AttributeError, match="read_clip"):
        _ = mien.video.read_clip
