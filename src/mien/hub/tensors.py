"""Weights out of safetensors files, never out of a pickle (extra ``train``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

#: How files begin that torch.save wrote: a zip archive, or a pickle.
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Reads a safetensors file, but no pickle; half-precision values are widened."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        with path.open("rb") as stream:
            head = stream.read(9)  # the header of a safetensors file begins at the ninth byte
        is_pickle = head.startswith(_PICKLES) and head[8:] != b"{"
        tensors = {} if is_pickle else load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"is no readable safetensors file: {error}", subject=path) from error
    if is_pickle:
        reason = "is a pickle, which can run any code when it is read: it is not opened"
        raise ModelError(reason, subject=path, hint="Ask its author for a .safetensors file.")
    narrow = (torch.float16, torch.bfloat16)
    return {name: t.float() if t.dtype in narrow else t for name, t in tensors.items()}
