"""What a prediction is: the same in the library, on the command line and from the service.

A picture gives an :class:`ImageResult` (no face: ``faces`` is empty); a file that cannot be read,
one among many, gives an :class:`ErrorResult`. JSON keys are the field names, numbers are exact::

    {"schema_version": 2, "source": "a.jpg", "width": 640, "height": 480,
     "faces": [{"box_xyxy": [200.0, 80.5, 392.0, 310.0], "detection_score": 0.98,
                "landmarks": null, "emotion": "happiness", "confidence": 0.75,
                "probs": {"neutral": 0.25, "happiness": 0.75}, "prediction_set": ["happiness"],
                "quality_flags": [], "uncertain": false, "track_id": null}],
     "model": "name", "detector": "name", "timings_ms": {"detect": 4.1}, "warnings": []}

    {"schema_version": 2, "source": "b.txt", "error": "not a picture", "kind": "InputError"}

In CSV every face is a row, and so is every picture without a face and every error. Values are
written as they are: a spreadsheet may take a file name that starts with ``=``, ``+``, ``-`` or
``@`` for a formula, so import the names of strangers' files as text.

Wrong values raise ``ConfigError``, like any impossible argument: an ``InputError`` would make a
bug look like one bad picture.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from mien.errors import ConfigError, suggest
from mien.results import checks
from mien.results.checks import finite_floats, items, mapping, share, store, text, texts, whole
from mien.results.frames import csv_header, to_frame, to_supervision
from mien.results.wording import percent

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Self

    import pandas as pd
    from matplotlib.figure import Figure

    from mien.arrays import U8, Floats

SCHEMA_VERSION = 2
_SUM_TOLERANCE = 1e-3
_TOLERANCE = 1e-6


def _brief(face: FaceEmotion) -> str:
    number = "" if face.track_id is None else f"#{face.track_id} "
    return f"{number}{face.emotion} {percent(face.confidence)}{' (uncertain)' * face.uncertain}"


class _Record:
    """Reading and writing, shared by the three results."""

    _version: ClassVar[int | None] = SCHEMA_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types; :meth:`from_dict` gives back an equal object."""
        head = {} if self._version is None else {"schema_version": self._version}
        return head | {f.name: checks.plain(getattr(self, f.name)) for f in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Reads :meth:`to_dict`'s form.

        Raises:
            ConfigError: If a key is unknown or missing, the version is another, or a value is
                impossible.
        """
        return cls(**cls._arguments(value))

    @classmethod
    def _arguments(cls, value: Mapping[str, Any]) -> dict[str, Any]:
        return checks.arguments(cls, value)

    def to_json(self, indent: int | None = None) -> str:
        """Returns :meth:`to_dict` as JSON text in ASCII, so that any file name survives."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    @classmethod
    def from_json(cls, content: str | bytes) -> Self:
        """Reads :meth:`to_json`'s form.

        Raises:
            ConfigError: If the text is not JSON, or as for :meth:`from_dict`.
        """
        try:
            value = json.loads(content)
        except ValueError as error:
            reason = f"expected JSON text, but {error}"
            raise ConfigError(reason, subject=f"{cls.__name__}:") from error
        return cls.from_dict(value)


@dataclass(frozen=True, repr=False)
class FaceEmotion(_Record):
    """One face and what its expression reads as.

    Args:
        box_xyxy: Left, top, right, bottom in pixels of the upright picture; may reach outside it.
        detection_score: How sure the detector is that this is a face, 0..1.
        landmarks: Points (x, y) in pixels in the detector's order, or ``None``.
        emotion: The label with the highest probability; one of them if they tie.
        confidence: Its probability; stored as exactly ``probs[emotion]``.
        probs: Probability by label in the order of the model's outputs, summing to 1 +- 0.001.
        prediction_set: The labels that are plausible: the true one is among them with the coverage
            that the model's config states. ``None`` where the model states none.
        quality_flags: Why the answer is uncertain, words of :data:`mien.quality.QUALITY_FLAGS`:
            ``ambiguous`` (the set is not a single label), ``small``, ``dark``, ``flat`` (hardly
            any contrast), ``blurred``. ``ambiguous`` is added where the set is not exactly the
            emotion.
        track_id: Number of the person in a clip.

    Raises:
        ConfigError: If a value is impossible or the values contradict each other.

    >>> face = FaceEmotion.from_probs(
    ...     ["sad", "happy"], [0.25, 0.75], box_xyxy=(0, 0, 48, 48), detection_score=1
    ... )
    >>> face.emotion, face.confidence
    ('happy', 0.75)
    >>> FaceEmotion.from_json(face.to_json()) == face
    True
    """

    _version = None

    box_xyxy: tuple[float, float, float, float]
    detection_score: float
    landmarks: tuple[tuple[float, float], ...] | None
    emotion: str
    confidence: float
    probs: Mapping[str, float] = field(hash=False)
    prediction_set: tuple[str, ...] | None = None
    quality_flags: tuple[str, ...] = ()
    track_id: int | None = None

    def __post_init__(self) -> None:
        box = finite_floats("box_xyxy", self.box_xyxy, 4)
        if not (box[0] < box[2] and box[1] < box[3]):
            raise ConfigError(f"box_xyxy: expected x1 < x2 and y1 < y2, got {box}.")
        points = self.landmarks
        if points is not None:
            points = tuple(finite_floats("landmarks", p, 2) for p in items("landmarks", points))
        probs = checks.shares("probs", self.probs)
        if not math.isclose(sum(probs.values()), 1.0, abs_tol=_SUM_TOLERANCE):
            raise ConfigError(f"probs: expected a sum of 1, got {sum(probs.values()):g} ({probs}).")
        if text("emotion", self.emotion) not in probs:
            reason = f"emotion {self.emotion!r} has no probability."
            raise ConfigError(reason + suggest(self.emotion, probs))
        top = max(probs, key=probs.__getitem__)
        if probs[self.emotion] < probs[top]:
            raise ConfigError(
                f"emotion: expected the top of probs, {top!r} ({probs[top]:g}), "
                f"got {self.emotion!r} ({probs[self.emotion]:g})."
            )
        confidence = share("confidence", self.confidence)
        if abs(confidence - probs[self.emotion]) > _TOLERANCE:
            raise ConfigError(
                f"confidence: expected probs[{self.emotion!r}] = {probs[self.emotion]}, "
                f"got {confidence}."
            )
        if self.track_id is not None:
            store(self, track_id=whole("track_id", self.track_id, 0))
        score = share("detection_score", self.detection_score)
        store(self, box_xyxy=box, detection_score=score, landmarks=points, probs=probs)
        store(self, confidence=probs[self.emotion])
        plausible = self.prediction_set
        if plausible is not None:
            plausible = texts("prediction_set", plausible)
            for label in plausible:
                if label not in probs:
                    raise ConfigError(f"prediction_set: {label!r} has no probability.")
        flags = texts("quality_flags", self.quality_flags)
        if plausible not in {None, (self.emotion,)} and "ambiguous" not in flags:
            flags = ("ambiguous", *flags)
        store(self, prediction_set=plausible, quality_flags=flags)

    @property
    def uncertain(self) -> bool:
        """True unless the prediction set is exactly the emotion and no quality flag is set."""
        return self.prediction_set != (self.emotion,) or bool(self.quality_flags)

    def __repr__(self) -> str:
        x1, y1, x2, y2 = (round(value) for value in self.box_xyxy)
        return f"<FaceEmotion {_brief(self)} at ({x1}, {y1}, {x2}, {y2})>"

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types, ``uncertain`` among them."""
        value = super().to_dict()
        track_id = value.pop("track_id")
        return {**value, "uncertain": self.uncertain, "track_id": track_id}

    @classmethod
    def _arguments(cls, value: Mapping[str, Any]) -> dict[str, Any]:
        given = mapping(cls.__name__, value)  # what is uncertain follows from the rest
        return super()._arguments({k: v for k, v in given.items() if k != "uncertain"})

    @property
    def warning(self) -> str:
        """What speaks against the answer, in words; empty where nothing does."""
        from mien.quality import warning

        return warning(self.emotion, self.prediction_set, self.quality_flags)

    @classmethod
    def from_probs(
        cls,
        labels: Sequence[str],
        probs: Sequence[float] | Floats,
        *,
        box_xyxy: Sequence[float] | Floats,
        detection_score: float,
        landmarks: Sequence[Sequence[float]] | Floats | None = None,
        track_id: int | None = None,
        prediction_set: Sequence[str] | None = None,
        quality_flags: Sequence[str] = (),
    ) -> Self:
        """Builds a face from a row of probabilities (K,) in the order of ``labels``.

        Raises:
            ConfigError: If there is not one probability a label, or a value is impossible.
        """
        values = finite_floats("probs", probs, len(labels))
        by_label = dict(zip(labels, values, strict=True))
        top = max(by_label, key=by_label.__getitem__)
        return cls(
            box_xyxy=finite_floats("box_xyxy", box_xyxy, 4),
            detection_score=detection_score,
            landmarks=None if landmarks is None else items("landmarks", landmarks),
            emotion=top,
            confidence=by_label[top],
            probs=by_label,
            track_id=track_id,
            prediction_set=None if prediction_set is None else tuple(prediction_set),
            quality_flags=tuple(quality_flags),
        )


@dataclass(frozen=True, repr=False)
class ImageResult(_Record):
    """One picture and its faces; ``faces`` is empty where there are none.

    Args:
        source: Path or description of the picture.
        width: Pixels, upright.
        height: Pixels, upright.
        faces: The faces, largest first.
        model: Name of the model.
        detector: Name of the detector.
        timings_ms: Milliseconds by stage (``decode``, ``detect``, ``crop``, ``inference``).
        warnings: What the answer leaves out, in sentences.
        prior: Share of each of the model's labels that was answered for, where it is not the one
            that the model came with; then it stands in the JSON too.

    Raises:
        ConfigError: If a value is impossible.

    >>> result = ImageResult("a.jpg", 640, 480, (), "model", "detector", {})
    >>> ImageResult.from_json(result.to_json()) == result
    True
    """

    source: str
    width: int
    height: int
    faces: tuple[FaceEmotion, ...]
    model: str
    detector: str
    timings_ms: Mapping[str, float] = field(hash=False)
    warnings: tuple[str, ...] = ()
    prior: Mapping[str, float] | None = field(default=None, hash=False)
    _origin: ClassVar[Any] = None

    def __post_init__(self) -> None:
        for name in ("source", "model", "detector"):
            text(name, getattr(self, name))
        faces = tuple(items("faces", self.faces))
        for face in faces:
            if not isinstance(face, FaceEmotion):
                raise ConfigError(f"faces: expected FaceEmotion, got {type(face).__name__}.")
        timings = {
            text("timings_ms stage", k): finite_floats(f"timings_ms[{k!r}]", [v], 1)[0]
            for k, v in mapping("timings_ms", self.timings_ms).items()
        }
        width, height = (whole(name, getattr(self, name), 1) for name in ("width", "height"))
        store(self, faces=faces, timings_ms=timings, width=width, height=height)
        prior = None if self.prior is None else checks.shares("prior", self.prior)
        store(self, warnings=texts("warnings", self.warnings), prior=prior)

    def __repr__(self) -> str:
        shown = [_brief(face) for face in self.faces[:4]] + ["…"] * (len(self.faces) > 4)
        count = {0: "no face", 1: "1 face"}.get(len(self.faces), f"{len(self.faces)} faces")
        listed = f": {', '.join(shown)}" if shown else ""
        return f"<ImageResult {self.source!r} {self.width}x{self.height}, {count}{listed}>"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_origin": None}

    def with_origin(self, origin: Callable[[], U8]) -> Self:
        """Remembers how to decode the picture again, for drawing; returns itself.

        It is neither compared nor written to JSON, nor pickled.
        """
        store(self, _origin=origin)
        return self

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types, ``prior`` among them where it was set."""
        value = super().to_dict()
        return value if self.prior is not None else {k: value[k] for k in value if k != "prior"}

    @classmethod
    def _arguments(cls, value: Mapping[str, Any]) -> dict[str, Any]:
        given = super()._arguments(value)
        return given | {"faces": tuple(map(FaceEmotion.from_dict, items("faces", given["faces"])))}

    def to_rows(self, labels: Sequence[str]) -> list[dict[str, object]]:
        """Returns one CSV row a face, or one row without a face; see :func:`csv_header`.

        Args:
            labels: The labels of the faces' probabilities, in the order of the columns.

        Raises:
            ConfigError: If a face has other labels: a probability would be lost.
        """
        for face in self.faces:
            if set(face.probs) != set(labels):
                raise ConfigError(
                    f"labels: expected {', '.join(face.probs)} as in {self.source!r}, "
                    f"got {', '.join(labels)}."
                )
        base = dict.fromkeys(csv_header(labels), "") | {
            "source": self.source, "width": self.width, "height": self.height,
            "model": self.model, "detector": self.detector,
        }  # fmt: skip
        return [
            base
            | dict(zip(("x1", "y1", "x2", "y2"), face.box_xyxy, strict=True))
            | {f"p_{label}": face.probs[label] for label in labels}
            | {
                "face": number, "detection_score": face.detection_score,
                "emotion": face.emotion, "confidence": face.confidence,
                "track_id": "" if face.track_id is None else face.track_id,
                "quality_flags": " ".join(face.quality_flags),
            }
            for number, face in enumerate(self.faces, 1)
        ] or [base]  # fmt: skip

    def draw(self, image_rgb: U8 | None = None, *, seen_side: int = 1280) -> U8:
        """Returns the picture with boxes and labels.

        The result remembers where the picture came from, and reads it again: from its path or
        bytes; an array or PIL image only while somebody else holds it.

        Args:
            image_rgb: uint8 (H, W, 3), to draw on a copy of; None: the picture that was read.
            seen_side: Longest side at which a larger picture will be seen, in pixels of the
                screen: there the letters have 11 pixels at least.

        Returns:
            A new uint8 (H, W, 3).

        Raises:
            InputError: If the picture is gone, or is not uint8 (H, W, 3) of this result's size.
        """
        from mien.images.reading import Origin
        from mien.results.annotation import draw_faces

        if image_rgb is None:
            image_rgb = (self._origin or Origin(self.source))()
        return draw_faces(image_rgb, self, seen_side=seen_side)

    def show(self, image_rgb: U8 | None = None) -> None:
        """Shows the annotated picture: in a notebook, else in the system's viewer.

        Raises:
            InputError: See :meth:`draw`.
        """
        from mien.results.drawing import show_image

        show_image(self.draw(image_rgb), self.source)

    def save(
        self, path: str | os.PathLike[str], image_rgb: U8 | None = None, *, overwrite: bool = False
    ) -> Path:
        """Writes the annotated picture; see :func:`mien.images.save_image`.

        Raises:
            InputError: See :meth:`draw`.
            ConfigError: If the suffix is no picture's, or the file exists and ``overwrite`` is off.
        """
        from mien.images import save_image

        return save_image(path, self.draw(image_rgb), overwrite=overwrite)

    def plot(self, image_rgb: U8 | None = None) -> Figure:
        """Returns a matplotlib figure: the annotated picture, and each face's probabilities.

        Raises:
            InputError: See :meth:`draw`.
            MissingExtraError: If matplotlib is not installed.
        """
        from mien.results.drawing import PLOT_SIDE, plot_result

        return plot_result(self, self.draw(image_rgb, seen_side=PLOT_SIDE))

    def to_pandas(self) -> pd.DataFrame:
        """Returns a pandas table with a row per face; see :func:`mien.results.to_frame`.

        Raises:
            MissingExtraError: If pandas is not installed.
        """
        return to_frame([self])[: len(self.faces)]

    def to_supervision(self) -> Any:
        """Returns ``supervision.Detections`` of the faces.

        ``class_id`` is the emotion's number among the labels, ``confidence`` its probability,
        ``tracker_id`` the person's number in a clip; ``data`` holds ``class_name``,
        ``detection_score`` and ``uncertain``.

        Raises:
            MissingExtraError: If supervision is not installed.
        """
        return to_supervision(self)

    def _repr_html_(self) -> str:
        from mien.results.drawing import to_html

        return to_html(self)


@dataclass(frozen=True)
class ErrorResult(_Record):
    """A picture among many that could not be read.

    Args:
        source: Path or description of the picture.
        error: What is wrong and what to do.
        kind: Name of the error's class.
    """

    source: str
    error: str
    kind: str

    def __post_init__(self) -> None:
        for name in ("source", "error", "kind"):
            text(name, getattr(self, name))

    def to_rows(self, labels: Sequence[str]) -> list[dict[str, object]]:
        """Returns the one CSV row of the error."""
        row: dict[str, object] = dict.fromkeys(csv_header(labels), "")
        return [row | {"source": self.source, "error": self.error}]
