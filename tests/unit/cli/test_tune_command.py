from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from mien.training.tuning import find_lr as module
from support.command_line import run


def test_a_search_of_the_rate_that_is_stopped_offers_no_resume(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "find_lr", stopped)
    typed = ("tune", "--find-lr", "-d", "folder:faces", "-o", str(tmp_path / "lr"))
    assert run(*typed) == 130
    said = capsys.readouterr().err
    assert "stopped; nothing was written" in said
    assert "--resume" not in said
    assert run(*typed, "--resume") == 2
    assert "--find-lr begins anew" in capsys.readouterr().err
