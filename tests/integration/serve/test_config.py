from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

#: As `mien`, also where the verb is not listed yet.
START = "import mien.cli as cli; cli.VERBS.setdefault('serve', 'Answer.'); cli.main()"


def _mien(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", START, "serve", *arguments],
        capture_output=True, text=True, timeout=30, check=False,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model", "no-such-model"), "no-such-model"),
        (("--prot", "1"), "--prot"),
        (("--port", "many"), "--port"),
        (("--workers", "0"), "at least 1"),
        (("--api-keys-file", "no-such-file"), "sha256sum"),
        (("--detector", "harr"), "haar"),
        (("-c", "no-such.yaml"), "no-such.yaml"),
    ],
)
def test_wrong_usage_exits_2_and_says_what_to_do(arguments: tuple[str, ...], words: str) -> None:
    code, said = _mien("--port", "0", *arguments)
    assert code == 2
    assert words in said


def test_busy_port_exits_2_and_names_the_flag() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        code, said = _mien("--port", str(other.getsockname()[1]))
    assert code == 2
    assert "--port" in said
