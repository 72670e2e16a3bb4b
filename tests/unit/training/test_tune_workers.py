"""Several workers on one study in a PostgreSQL database that the test starts itself."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

optuna = pytest.importorskip("optuna")
pytest.importorskip("torch")


from mien.errors import ConfigError, MienError, ModelError
from mien.training.config import TrainConfig
from mien.training.tuning.config import TuneConfig, make_space
from mien.training.tuning.run import tune

PASSWORD = "open-sesame-7"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.parametrize(
    ("url", "kind", "said"),
    [
        ("postgresql://ann:{}@127.0.0.1:{port}/db", ModelError, "ann:\\*\\*\\*@127.0.0.1"),
        ("postgresql://ann@127.0.0.1:{port}/db?password={}", ModelError, "cannot be used"),
        ("ann:{}@127.0.0.1", ConfigError, "no URL of a database"),
        ("oracle+nothing://ann:{}@127.0.0.1/db", ConfigError, "ann:\\*\\*\\*@127.0.0.1"),
        ("sqlite:////no/such/folder/{}.db", ModelError, "cannot be used"),
    ],
)
def test_a_database_out_of_reach_is_told_without_its_password(
    url: str, kind: type[MienError], said: str, tmp_path: Path
) -> None:
    if url.startswith("postgresql"):
        pytest.importorskip("psycopg")
    given = url.format(PASSWORD, port=_free_port())
    recipe = TrainConfig.make({"data": "folder:faces", "model": "mienet_test"})
    with pytest.raises(kind, match=said) as refused:
        tune(
            recipe, make_space({"flip": [0.1, 0.2]}), output=tmp_path / "study",
            settings=TuneConfig(storage=given),
        )  # fmt: skip
    if not given.startswith("sqlite"):
        assert PASSWORD not in str(refused.value)
    assert not (tmp_path / "study").exists()
