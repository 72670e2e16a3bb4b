"""The processes of a cluster: how many a job uses, and the model that each of them loads."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien import __version__
from mien.backends import NETWORK_FILES
from mien.errors import ConfigError
from mien.hub import ASSETS, CONFIG, ONNX

if TYPE_CHECKING:
    from mien.hub import ModelFolder
    from mien.jobs.config import JobConfig
    from mien.recognizer import EmotionRecognizer


def cpus(ray: Any, config: JobConfig) -> int:
    """Returns how many CPUs of the cluster a job uses now."""
    there = max(int(ray.cluster_resources().get("CPU", 1)), 1)
    return min(config.workers, there) if config.workers else there


def pack_model(folder: ModelFolder, backend: str) -> dict[str, bytes]:
    """Returns the files of a model folder that a worker needs; none of a bundled model.

    Keys are file names; the key ``""`` holds the name of the network.

    Raises:
        ModelError: If a file is missing or damaged.
    """
    if folder.path.parent == ASSETS:
        return {}
    network = folder.file(NETWORK_FILES[backend]).name
    also = folder.config.files.get(network, {}).get("with", ())
    names = [CONFIG, network, *map(str, also)]
    named = folder.network if folder.network != ONNX else ""
    return {"": named.encode(), **{name: (folder.path / name).read_bytes() for name in names}}


def worker_recognizer(config: JobConfig, carried: list[Any], version: str) -> EmotionRecognizer:
    """Returns the recognizer of this process, loaded for its first task.

    Raises:
        ConfigError: If another version of mien is installed here than where the job was begun.
    """
    if version != __version__:
        raise ConfigError(
            f"the job runs with mien {version}, but a machine of the cluster has {__version__}",
            hint=f'Type there: pip install "mien[jobs]=={version}"',
        )
    return _loaded(config, carried[0])


@lru_cache(maxsize=1)
def _loaded(config: JobConfig, files: Any) -> EmotionRecognizer:
    import ray

    content = ray.get(files)
    if not content:
        return config.open_recognizer()
    folder = Path(tempfile.mkdtemp(prefix="mien-model-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name, data in content.items():
        if name:
            (folder / name).write_bytes(data)
    return config.open_recognizer(folder / content[""].decode())
