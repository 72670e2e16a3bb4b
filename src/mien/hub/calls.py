"""Calls to the Hugging Face Hub: names of repositories, the address, and what a failure means."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from mien.errors import ConfigError, ModelError
from mien.hub.folder import CONFIG

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PICKLES", "call_hub", "check_repo_id", "hub_endpoint"]

PICKLES = (".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth")
_REPO = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_SIGN_IN = "type hf auth login, or set HF_TOKEN"


def check_repo_id(repo_id: str) -> str:
    """Returns a repository's name after checking its form.

    Raises:
        ConfigError: If it is not ``ORG/NAME``.

    >>> check_repo_id("org/name")
    'org/name'
    """
    if not _REPO.fullmatch(repo_id):
        reason = "names no repository: it must be ORG/NAME"
        hint = "A folder or a bundled model is opened with EmotionRecognizer(MODEL)."
        raise ConfigError(reason, subject=f"{repo_id!r}", hint=hint)
    return repo_id


def hub_endpoint() -> str | None:
    """Returns the address of another Hub, read when it is needed and not when it is imported."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


def call_hub(call: Callable[[], str], repo_id: str, revision: str | None, what: str) -> str:
    """Calls the Hub and turns each of its many errors into one sentence."""
    from huggingface_hub import errors

    http_error: Any = getattr(errors, "HTTPError")  # noqa: B009 - not among its typed names
    try:
        return call()
    # Of the HTTP library below, which changed with the major versions, only its base is known.
    except (http_error, OSError, ValueError, EOFError, RuntimeError) as error:
        # A failed upload is wrapped; what happened stands in its cause.
        cause = error.__cause__ if isinstance(error, RuntimeError) else None
        found = cause if isinstance(cause, Exception) else error
        known = (
            why
            for kind, why in _causes(revision).items()
            if isinstance(found, getattr(errors, kind))
        )
        status: Any = getattr(getattr(found, "response", None), "status_code", None)
        lines = str(found).strip().splitlines() or [type(found).__name__]
        other = _STATUS.get(status, f"{lines[0]} Try again, and check the network.")
        raise ModelError(f"cannot {what} {repo_id}: {next(known, other)}") from error


_WHO = f"the Hub asks who you are. Check the token: {_SIGN_IN}."
_STATUS = {401: _WHO, 403: "your token may not do that. Make one that may write there."}


def _causes(revision: str | None) -> dict[str, str]:
    """Returns what errors of the Hub mean; derived classes stand before their bases."""
    return {
        "LocalEntryNotFoundError": "the Hub cannot be reached, and the cache has no whole copy. "
        "Check the network.",
        "GatedRepoError": f"its owners ask for agreement first. Ask on its page, then {_SIGN_IN}.",
        "RevisionNotFoundError": f"it has no revision {revision!r}. Check the name; "
        "mien push --create makes one.",
        "RepositoryNotFoundError": "there is no such repository, or it is private. Check the name; "
        f"for a private one {_SIGN_IN}; mien push --create makes a new one.",
        "EntryNotFoundError": f"it has no such file. mien reads folders with {CONFIG} and ONNX or "
        f"safetensors weights, and never opens a pickle ({', '.join(PICKLES)}).",
        "LocalTokenNotFoundError": _WHO,
    }
