"""What a prediction is: records that the library, the command line and the service share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.results.columns import csv_header
from mien.results.records import (
    SCHEMA_VERSION,
    ErrorResult,
    FaceEmotion,
    ImageResult,
)

if TYPE_CHECKING:
    from mien.results.frames import to_frame

__all__ = ["SCHEMA_VERSION", "ErrorResult", "FaceEmotion", "ImageResult", "csv_header", "to_frame"]


def __getattr__(name: str) -> object:
    if name != "to_frame":
        raise AttributeError(f"module 'mien.results' has no attribute {name!r}")
    from mien.results.frames import to_frame

    return to_frame
