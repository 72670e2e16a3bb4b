"""Object stores through fsspec: addresses, their file systems, and errors that say what to do.

Credentials come from the environment or the machine's own role, as the store's library finds
them. None stands in an address, so none can reach a message, a job's file or a row.
"""

from __future__ import annotations

import io
import time
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from mien.errors import ConfigError, InputError, import_extra, suggest
from mien.jobs.rows import is_dataset, read_row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Scheme of an address -> package that opens it.
PACKAGES = {
    "s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs",
    "hdfs": "pyarrow", "memory": "fsspec",
}  # fmt: skip
#: Seconds between one try and the next.
_PAUSES_S = (1.0, 2.0)
#: Seconds to wait for a connection and for an answer, and how often the library tries.
_S3_PATIENCE = {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 2}}


def is_address(word: str) -> bool:
    """Whether a word is an address of a store rather than a path.

    >>> is_address("s3://bucket/photos"), is_address("photos")
    (True, False)
    """
    return "://" in word


def check_address(address: str) -> str:
    """Returns an address that can be opened; one that holds a password is refused unrepeated."""
    scheme, _, rest = address.partition("://")
    user, at, _ = rest.partition("/")[0].rpartition("@")
    if (at and ":" in user) or "?" in rest:
        reason = "holds a password or a signature, which would end up in results and logs"
        hint = "Leave it out, and set credentials in the environment."
        raise ConfigError(reason, subject=f"an address {scheme}://...", hint=hint)
    if scheme not in PACKAGES:
        raise ConfigError(f"{address}: {scheme}:// cannot be read." + suggest(scheme, PACKAGES))
    return address


def open_store(address: str) -> tuple[Any, str]:
    """Returns the fsspec file system of an address, and the path that it knows it by."""
    scheme = check_address(address).partition("://")[0]
    system = _file_system(scheme)
    return system, str(system._strip_protocol(address))


@cache
def _file_system(scheme: str) -> Any:
    fsspec = import_extra("fsspec", "reading object stores", "jobs")
    options: dict[str, Any] = {"use_listings_cache": False} if scheme != "memory" else {}
    if scheme == "s3":
        options["config_kwargs"] = _S3_PATIENCE
    try:
        return fsspec.filesystem(scheme, **options)
    except ImportError as error:
        reason = f"{scheme}:// needs the package {PACKAGES[scheme]}, which is not installed"
        raise ConfigError(reason, hint=f"Type: pip install {PACKAGES[scheme]}") from error


def _lost(error: BaseException) -> bool:
    """Whether a store did not answer at all, rather than refuse."""
    lost = (ConnectionError, TimeoutError)
    return isinstance(error, lost) or not isinstance(error, OSError) or "Connect" in repr(error)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns the failure to read a file into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", subject=path) from error


@contextmanager
def store_answers(address: str, what: str) -> Iterator[None]:
    """Turns any error of a store's library into an InputError: the address cannot ``be listed``."""
    try:
        yield
    except FileNotFoundError as error:
        reason = f"cannot {what}: there is nothing of that name"
        raise InputError(reason, subject=address) from error
    except PermissionError as error:
        reason = f"cannot {what}: the store refuses ({first_line(error)})"
        hint = "Set credentials that may, in the environment."
        raise InputError(reason, subject=address, hint=hint) from error
    except (ConfigError, InputError):
        raise
    except Exception as error:
        advice = "check the endpoint and the network" if _lost(error) else "check the address"
        reason = f"cannot {what}: {first_line(error)}; {advice}"
        raise InputError(reason, subject=address) from error


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message, or what kind it is."""
    first = (str(error).splitlines() or [""])[0].strip().rstrip(".")
    return (first or type(error).__name__)[:300]


class Fetched(io.BytesIO):
    """The bytes of one object, with the name that messages call it by."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


def is_fetched(path: str) -> bool:
    """Whether a picture is an object of a store or a row of a dataset rather than a file."""
    return is_address(path) or is_dataset(path)


def fetch(address: str, *, max_bytes: int) -> Fetched | InputError:
    """Reads one object of a store, ``max_bytes`` and one at most, in one request; or one row.

    If the store refuses it, the error is returned, for the picture's row; that the store does not
    answer any more is raised, since it is no picture's fault: the job stops.
    """
    if is_dataset(address):
        data = read_row(address)
        return data if isinstance(data, InputError) else Fetched(data, address)
    system, path = open_store(address)
    for pause_s in (*_PAUSES_S, None):
        try:
            return Fetched(system.cat_file(path, start=0, end=max_bytes + 1), address)
        except Exception as error:  # each store's library has exceptions of its own
            # An empty object has no first byte to give.
            if "InvalidRange" in repr(error) or "not satisfiable" in str(error):
                return Fetched(b"", address)
            if not _lost(error):
                return InputError(f"cannot be read: {first_line(error)}", subject=address)
            if pause_s is None:
                reason = f"cannot be read, the store does not answer: {first_line(error)}"
                hint = "Check the network and add --resume: what is finished stays."
                raise InputError(reason, subject=address, hint=hint) from error
            time.sleep(pause_s)
    raise AssertionError  # pragma: no cover - the loop returns or raises
