"""What a prediction is: records that the library, the command line and the service share."""

from mien.results.frames import csv_header, to_frame
from mien.results.records import SCHEMA_VERSION, ErrorResult, FaceEmotion, ImageResult

__all__ = ["SCHEMA_VERSION", "ErrorResult", "FaceEmotion", "ImageResult", "csv_header", "to_frame"]
