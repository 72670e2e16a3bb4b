"""``export`` and what it returns: the folder, and what each form of the network is worth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.data import Manifest, as_manifest
from mien.errors import ConfigError
from mien.exporting.config import ExportConfig
from mien.exporting.formats import export_formats

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mien.exporting.measure import FormatResult


@dataclass(frozen=True)
class ExportResult:
    """A model folder with the forms that were made of its network.

    Args:
        folder: The model folder.
        networks: What was measured of each form, ``model.onnx`` first.
    """

    folder: Path
    networks: tuple[FormatResult, ...]

    @property
    def refused(self) -> dict[str, str]:
        """Format -> why it was not written."""
        return {item.format: item.refused for item in self.networks if item.refused}

    def path(self, format_name: str) -> Path:
        """Returns the file of a format, to run with ``EmotionRecognizer(path)``.

        Raises:
            ConfigError: If it was not made; says why.
        """
        for item in self.networks:
            if item.format == format_name and not item.refused:
                return self.folder / item.file
        made = [item.format for item in self.networks if not item.refused]
        why = self.refused.get(format_name, f"it was not among the formats: {', '.join(made)}")
        raise ConfigError(f"was not written: {why}", subject=format_name)


def export(
    model: str | Path,
    formats: str | Sequence[str] = "onnx",
    *,
    output: str | Path | None = None,
    data: str | Sequence[str] | Manifest | None = None,
    calibrate: str | Sequence[str] | Manifest | None = None,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
    **options: Any,
) -> ExportResult:
    """Writes a trained model in other forms, each measured against the first (extra ``export``).

    Args:
        model: A model folder or a name.
        formats: Names of ``mien.exporting.FORMATS``: ``"onnx"``, ``"onnx-fp16"``,
            ``"int8-dynamic"``, ``"int8-static"``, ``"openvino"``, ``"torch-export"``.
        output: Folder to write; None: next to ``model.onnx``.
        data: Labelled faces, a spec or a manifest, to measure accuracy on; None: agreement is
            measured on noise.
        calibrate: Faces whose train split int8-static is calibrated on; None: ``data``.
        overwrite: Replace files that exist.
        progress: Called with 1 after each form.
        **options: Fields of :class:`mien.exporting.ExportConfig`.

    Returns:
        The folder, and the size, accuracy and time of each form. A form that lost too much accuracy
        says so and is not written.

    Raises:
        ConfigError: If an option is impossible, or files would be overwritten.
        ModelError: If the model cannot be used.
        DataError: If a dataset cannot be read.
        MissingExtraError: If a library is not installed.

    >>> exported = mien.export("runs/train", "onnx-fp16", output="small")
    >>> exported.path("onnx-fp16").name
    'model.onnx-fp16.onnx'
    >>> len(mien.predict("photo.jpg", model=exported.path("onnx-fp16")).faces)
    1
    """
    names = (formats,) if isinstance(formats, str) else tuple(formats)
    read = [None if item is None else as_manifest(item, runs=[model]) for item in (data, calibrate)]
    folder, results = export_formats(
        model,
        None if output is None else Path(output),
        ExportConfig(formats=names, **options),
        data=read[0],
        calibrate=read[1],
        overwrite=overwrite,
        progress=progress,
    )
    return ExportResult(folder.path, tuple(results))
