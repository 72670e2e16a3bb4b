"""Model folders on the Hugging Face Hub: fetching one and pushing one (extra ``hub``).

What is fetched is checked: the files are those of one commit, their sha256 must be the ones that
the repository's ``config.json`` holds, and nothing that is a pickle is opened.
"""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import ConfigError, ModelError, import_extra
from mien.hub.calls import PICKLES, call_hub, check_repo_id, hub_endpoint
from mien.hub.card import front_matter, model_card
from mien.hub.folder import CARD, CONFIG, NETWORKS, ONNX, WEIGHTS, ModelFolder, read_model_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "ARCHIVES",
    "PICKLES",
    "RECORDS",
    "fetch_model_folder",
    "push_model_folder",
    "pushed_card",
    "pushed_files",
]

#: Files of a run directory that are pushed in addition to those that ``config.json`` lists.
RECORDS = ("args.yaml", "metrics.csv", "curves.png")
#: Archives that only torch reads; they can hold pickles and are never sent or fetched.
ARCHIVES = (".pt2",)


def fetch_model_folder(
    repo_id: str,
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | Path | None = None,
    file: str = ONNX,
) -> Path:
    """Fetches a model folder from the Hub, or takes it from the cache.

    Args:
        repo_id: ``ORG/NAME``.
        revision: Branch, tag or commit; None: the main branch.
        token: Access token; None: the one of ``HF_TOKEN`` or ``hf auth login``, if any.
        cache_dir: Where to keep it; None: the Hub's own cache.
        file: The network to fetch: ``model.onnx``, another form of it, or ``model.safetensors``.

    Returns:
        What :class:`EmotionRecognizer` takes as a model: the folder, or the network in it.

    Raises:
        ConfigError: If the name or file is impossible.
        ModelError: If it cannot be fetched, or a file is not the one its config names.
        MissingExtraError: If ``huggingface_hub`` is not installed.
    """
    check_repo_id(repo_id)
    _check_name(file, repo_id)
    if not file.endswith((*NETWORKS, WEIGHTS)):
        raise ConfigError(f"is no network that mien opens: take {ONNX} or {WEIGHTS}", subject=file)
    where: dict[str, Any] = {"token": token, "cache_dir": cache_dir, "endpoint": hub_endpoint()}

    def fetch(name: str, commit: str | None, *, force: bool = False) -> Path:
        hub = import_extra("huggingface_hub", "from_pretrained", "hub")
        found = call_hub(
            lambda: hub.hf_hub_download(
                repo_id, name, revision=commit, force_download=force, **where
            ),
            repo_id, revision, f"fetch {name} of",
        )  # fmt: skip
        return Path(found)

    path = fetch(CONFIG, revision).parent
    folder = read_model_folder(path)
    for name in (file, *(str(name) for name in folder.config.files.get(file, {}).get("with", ()))):
        _check_name(name, repo_id)
        if "sha256" not in folder.config.files.get(name, {}):
            reason = f"its {CONFIG} has no sha256 of {name}, so the file cannot be checked"
            hint = f"It has: {', '.join(folder.config.files) or 'none'}."
            raise ModelError(reason, subject=f"{repo_id}:", hint=hint)
        # The folder of the cache is named after the commit: all files are of the same one.
        fetch(name, path.name)
        try:
            folder.file(name)
        except ModelError:
            fetch(name, path.name, force=True)
        _refuse_pickle(folder.file(name), repo_id)
    return path if file in {ONNX, WEIGHTS} else path / file


def pushed_files(folder: ModelFolder) -> list[str]:
    """Returns the files of a model folder that belong on the Hub, after checking them.

    Checkpoints, logs, torch's archives and whatever else lies in a run directory stay where they
    are.

    Raises:
        ModelError: If a file that ``config.json`` lists is missing, changed, or a pickle.
    """
    names, path = [name for name in folder.config.files if not name.endswith(ARCHIVES)], folder.path
    for name in names:
        _check_name(name, str(path))
        _refuse_pickle(folder.file(name), str(path))
    if not names:
        raise ModelError("has no weights", subject=path, hint=f"Type: mien export {path}")
    records = [name for name in RECORDS if (path / name).is_file()]
    reports = sorted(f"eval/{file.name}" for file in (path / "eval").glob("*.json"))
    return [CONFIG, *names, *records, *reports]


def pushed_card(folder: ModelFolder, repo_id: str) -> str:
    """Returns the card to push: with fresh metadata, and with a text of the folder's own if any."""
    path = folder.path / CARD
    text = _without_metadata(path.read_text(encoding="utf-8")) if path.is_file() else ""
    written = _without_metadata(model_card(folder))
    bundled = written.replace("--model FOLDER", f"--model {folder.config.name}")
    if text in {"", written, bundled}:
        return model_card(folder, repo_id=repo_id)
    return front_matter(folder) + text


def _without_metadata(card: str) -> str:
    return re.sub(r"\A---\n.*?\n---\n", "", card, count=1, flags=re.DOTALL)


def push_model_folder(
    folder: ModelFolder,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    create: bool = False,
    token: str | None = None,
    layout: str = "mien",
) -> str:
    """Uploads a model folder to the Hub as one commit.

    Args:
        folder: The model.
        repo_id: ``ORG/NAME``.
        private: Make the repository private where it is created.
        revision: Branch to write; None: the main one.
        create: Create repository and branch where there are none.
        token: Access token; None: the one of ``HF_TOKEN`` or ``hf auth login``.
        layout: ``"mien"``: the folder as it is; ``"timm"``: what timm and transformers read, see
            :mod:`mien.hub.timm_layout`.

    Returns:
        Address of the commit.

    Raises:
        ConfigError: If the name is impossible.
        ModelError: If a file is missing or changed, or the Hub refuses.
        MissingExtraError: If ``huggingface_hub`` is not installed.
    """
    check_repo_id(repo_id)
    hub = import_extra("huggingface_hub", "mien push", "hub")
    with _laid_out(folder, repo_id, layout) as contents:
        files = [hub.CommitOperationAdd(name, content) for name, content in contents.items()]
        api = hub.HfApi(endpoint=hub_endpoint(), token=token, library_name="mien")

        def upload() -> str:
            api.whoami()
            if create:
                api.create_repo(repo_id, private=private, exist_ok=True)
                if revision:
                    api.create_branch(repo_id, branch=revision, exist_ok=True)
            message = f"Push {folder.config.name}"
            done = api.create_commit(repo_id, files, revision=revision, commit_message=message)
            return str(done.commit_url)

        return call_hub(upload, repo_id, revision, "push to")


@contextmanager
def _laid_out(folder: ModelFolder, repo_id: str, layout: str) -> Iterator[dict[str, bytes | str]]:
    """Yields by name what to push: bytes, or the path of a file."""
    if layout == "mien":
        named: dict[str, bytes | str] = {CARD: pushed_card(folder, repo_id).encode()}
        yield named | {name: str(folder.path / name) for name in pushed_files(folder)}
        return
    if layout != "timm":
        raise ConfigError(f"a layout is mien or timm; got {layout!r}.")
    from mien.hub.timm_layout import write_timm_layout

    with tempfile.TemporaryDirectory() as temporary:
        place = write_timm_layout(folder, Path(temporary) / "timm", repo_id=repo_id)
        yield {path.name: str(path) for path in sorted(place.iterdir())}


def _check_name(name: str, where: str) -> None:
    if Path(name).name != name or "\\" in name or name.startswith("."):
        raise ModelError(f"{name!r} is no plain file name; it is not opened", subject=f"{where}:")


def _refuse_pickle(path: Path, where: str) -> None:
    """Refuses what Python's pickle or torch.save wrote, whatever its name says."""
    with path.open("rb") as stream:
        head = stream.read(4)
        stream.seek(max(stream.seek(0, os.SEEK_END) - 1, 0))
        last = stream.read(1)
    pickled = head[:1] == b"\x80" and head[1:2] <= b"\x05" and last == b"."
    if pickled or head == b"PK\x03\x04" or path.suffix in PICKLES[1:]:
        raise ModelError(
            f"{path.name} is a pickle or an archive of pickles, which can run any code when "
            "it is opened",
            subject=f"{where}:",
            hint="Write the weights as safetensors or ONNX.",
        )
