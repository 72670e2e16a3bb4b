from __future__ import annotations

import logging
import os
import sys
import threading
import warnings

import pytest

from mien.atomic import environment, quiet


def test_quiet_hides_what_this_thread_prints_and_its_packages_warn_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def speak() -> None:
        sys.stdout.write("another thread\n")
        warnings.warn("of another package", UserWarning, stacklevel=1)

    before, thread = sys.stdout, threading.Thread(target=speak)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with quiet("noisy", loggers=["noisy.log"]):
            sys.stdout.write("this thread\n")
            warnings.warn_explicit("hidden", UserWarning, "part.py", 1, module="noisy.part")
            assert logging.getLogger("noisy.log").level == logging.ERROR
            thread.start()
            thread.join()
    assert [str(each.message) for each in caught] == ["of another package"]
    assert capsys.readouterr().out == "another thread\n"
    assert sys.stdout is before
    assert logging.getLogger("noisy.log").level == logging.NOTSET


def test_quiet_leaves_no_handler_and_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        with quiet("noisy"):
            logging.info("installs a handler where there is none")  # noqa: LOG015 - the case
            raise ValueError("on purpose")

    filters = list(warnings.filters)
    with monkeypatch.context() as patch:
        patch.setattr(logging.root, "handlers", [])
        with pytest.raises(ValueError, match="on purpose"):
            fail()
        assert logging.root.handlers == []
    assert list(warnings.filters) == filters


def test_variables_that_are_set_meanwhile_do_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIEN_EXAMPLE", raising=False)
    with environment({"MIEN_EXAMPLE": None}):
        os.environ["MIEN_EXAMPLE"] = "1"
    assert "MIEN_EXAMPLE" not in os.environ
