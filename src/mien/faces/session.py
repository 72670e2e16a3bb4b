"""Opens the networks that lie in the package."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from mien.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path


def open_session(path: Path, sha256: str, threads: int, *, told_in: str, spin: bool = True) -> Any:
    """Opens an ONNX network with ONNX Runtime.

    Args:
        path: The file.
        sha256: The digest it must have; empty: any.
        threads: Threads inside one run; 0 leaves it to ONNX Runtime.
        told_in: Name of the file that states the digest, for the message.
        spin: Whether idle threads spin for a while: faster alone, slower where several networks
            take turns on the same cores.

    Raises:
        ModelError: If the file cannot be read, is damaged, or is no network that runs here.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.") from error
    if sha256 and (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise ModelError(
            f"{path} is damaged or was changed: its sha256 is {found[:16]}…, but {told_in} says "
            f"{sha256[:16]}…. Install mien again."
        )
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if not spin:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"{path} is no ONNX network that runs here ({error}).") from error
