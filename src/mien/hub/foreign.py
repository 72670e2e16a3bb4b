"""Networks of others, in the layout of transformers or timm: a local folder or a Hub repository.

What is fetched lands in the Hub's own cache, and only ``.json`` and ``.safetensors`` of it.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import ConfigError, ModelError, import_extra
from mien.hub.calls import call_hub, check_repo_id, hub_endpoint
from mien.hub.folder import CONFIG, WEIGHTS
from mien.preprocess import INTERPOLATIONS, Preprocessing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LOG = logging.getLogger(__name__)
#: How transformers' feature extractors are set up.
PREPROCESSOR = "preprocessor_config.json"
_PATTERNS = (CONFIG, PREPROCESSOR, "*.safetensors", "*.safetensors.index.json")
#: Pillow's resampling filters by number; of these, mien has those of :data:`INTERPOLATIONS`.
_FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
#: Mean and standard deviation that most networks for photos are trained with.
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def open_foreign(model: str) -> Path:
    """Returns the local folder of a network: one that is named, or one fetched from the Hub.

    A repository that is in the cache is taken from there, without asking the Hub.

    Raises:
        ConfigError: If the name is neither a folder nor a repository's, or is a model of mien.
        ModelError: If it cannot be had, or has no safetensors weights.
    """
    path = Path(os.path.expanduser(model))  # noqa: PTH111 - a ~NAME without such a user stays
    if not path.is_dir():
        looks_local = model.count("/") != 1 or model.startswith((".", "~"))
        if looks_local:
            raise ModelError(f"model {model}: there is no such folder ({path})")
        path = _fetch_folder(check_repo_id(model))
    config = read_json(path / CONFIG)
    if "mien" in config:
        raise ConfigError(
            f"{model} is a model of mien",
            subject="model",
            hint=f"Start from it with --model {config.get('architecture')} --weights {model}",
        )
    if not any(path.glob("*.safetensors")):
        raise ModelError(
            "has no .safetensors weights, and a pickle is never opened", subject=path,
            hint="Where transformers is installed, write them: AutoModel.from_pretrained(...)"
            ".save_pretrained(FOLDER)",
        )  # fmt: skip
    return path


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON file that holds an object.

    Raises:
        ModelError: If it is missing or is none.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        hint = "A folder in the layout of transformers has one next to model.safetensors."
        raise ModelError(f"has no {path.name}", subject=path.parent, hint=hint) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot be read: {error}", subject=path) from error
    if not isinstance(values, dict):
        raise ModelError("is no object of JSON", subject=path)
    return values


def read_preprocessing(folder: Path, config: Mapping[str, Any]) -> Preprocessing:
    """Returns how the pictures of a network in transformers' layout are prepared.

    Scaling, offset and mean of its ``preprocessor_config.json`` become one mean and std on 0..1;
    a folder without that file has those of ImageNet. ``config`` is its ``config.json``. A filter
    that mien lacks becomes bilinear, which is logged.

    Raises:
        ModelError: If the file names no filter of Pillow.
    """
    given = read_json(folder / PREPROCESSOR) if (folder / PREPROCESSOR).is_file() else {}
    mean, std = (given.get(f"image_{name}") for name in ("mean", "std"))
    if given.get("do_normalize", True):
        mean, std = mean or IMAGENET[0], std or IMAGENET[1]
    else:
        mean, std = (0.0,) * 3, (1.0,) * 3
    if given.get("include_top"):  # EfficientNet's extractor divides by std a second time
        std = [value**2 for value in std]
    factor = (
        255 * (given.get("rescale_factor") or 1 / 255) if given.get("do_rescale", True) else 255
    )
    offset = 1.0 if given.get("rescale_offset") else 0.0
    interpolation = _interpolation(given.get("resample"), folder / PREPROCESSOR)
    return Preprocessing(
        size=_side(given.get("crop_size") if given.get("do_center_crop") else given.get("size"))
        or _side(given.get("size")) or _side(config.get("image_size")) or 224,
        color="rgb", interpolation=interpolation, normalization="fixed",
        mean=tuple((value + offset) / factor for value in mean),
        std=tuple(value / factor for value in std),
    )  # fmt: skip


def _interpolation(given: Any, path: Path) -> str:
    name = "bilinear" if given is None else str(given).lower()
    if type(given) is int and 0 <= given < len(_FILTERS):
        name = _FILTERS[given]
    if name not in _FILTERS:
        hint = f"It is one of Pillow's filters, 0 to 5: {', '.join(_FILTERS)}."
        raise ModelError(f"has the unknown filter resample={given!r}", subject=path, hint=hint)
    return known_interpolation(name, path, "bilinear")


def known_interpolation(name: str, where: object, instead: str) -> str:
    """Returns the interpolation of a network of others, or another where mien lacks it, logged."""
    if name in INTERPOLATIONS:
        return name
    _LOG.warning(
        "note: %s resamples with %r, which mien does not have: %s is taken. Its answers differ a "
        "little until it is trained on.", where, name, instead,
    )  # fmt: skip
    return instead


def _side(size: Any) -> int:
    if isinstance(size, dict):
        size = size.get("shortest_edge") or size.get("height")
    if isinstance(size, (list, tuple)):
        size = size[-1]
    return int(size or 0)


def fetch_weights(repo_id: str, what: str) -> Path:
    """Returns the ``model.safetensors`` of a repository, from the cache if it is there.

    Args:
        repo_id: ``ORG/NAME``.
        what: What an error calls it.

    Raises:
        ModelError: If it cannot be fetched.
    """
    hub = import_extra("huggingface_hub", what, "hub")
    cached = hub.try_to_load_from_cache(repo_id, WEIGHTS)
    if isinstance(cached, str):
        return Path(cached)
    # The safetensors file alone: what else lies there may be a pickle.
    options = {"filename": WEIGHTS, "endpoint": hub_endpoint()}
    return _fetch(hub.hf_hub_download, repo_id, what, f"--weights {{}}/{WEIGHTS}", **options)


def _fetch_folder(repo_id: str) -> Path:
    what = f"model {repo_id}"
    hub = import_extra("huggingface_hub", what, "hub")
    options: dict[str, Any] = {"allow_patterns": list(_PATTERNS), "endpoint": hub_endpoint()}
    try:
        cached = Path(hub.snapshot_download(repo_id, local_files_only=True, **options))
        if (cached / CONFIG).is_file() and any(cached.glob("*.safetensors")):
            return cached
    except (OSError, ValueError):
        pass  # not in the cache
    return _fetch(hub.snapshot_download, repo_id, what, "--model ./{}", **options)


def _fetch(
    download: Callable[..., str], repo_id: str, what: str, then: str, **options: Any
) -> Path:
    """Downloads, or says at once what to type where the Hub cannot be reached.

    The Hub's own client would try for half a minute.
    """
    hub, name = import_extra("huggingface_hub", what, "hub"), repo_id.partition("/")[2]
    try:
        hub.get_session().head(hub_endpoint() or "https://huggingface.co", timeout=3)
    except Exception as error:  # of the network, of the library below, or of an offline mode
        raise ModelError(
            f"{what} cannot be fetched from the Hub ({type(error).__name__}; is this machine "
            "offline?)",
            hint=f"Where there is internet, type: hf download {repo_id} --include '*.json' "
            f"--include '*.safetensors' --local-dir {name} and then here: {then.format(name)}",
        ) from error
    return Path(call_hub(lambda: download(repo_id, **options), repo_id, None, "fetch"))
