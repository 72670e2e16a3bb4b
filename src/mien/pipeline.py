"""From a picture to a result: decode, detect, crop, run, calibrate. The only place that does it.

:meth:`Pipeline.prepare` is what threads do before the network, :meth:`Pipeline.finish` what follows
it; whoever has many faces at once runs the network in between in batches of their own.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.detectors.detections import Detections
from mien.detectors.framing import crop_box
from mien.detectors.protocol import MIN_FACE, run_detector
from mien.errors import ConfigError, DetectorError, InputError
from mien.images import ImageLimits, open_image
from mien.images.reading import Origin
from mien.labels import map_probs, mapping_matrix
from mien.preprocess import crop_faces, normalize
from mien.results import ErrorResult, FaceEmotion, ImageResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mien.arrays import F32, F64, U8, Bools, Floats
    from mien.backends.protocol import Backend, Outputs
    from mien.detectors.protocol import Detector
    from mien.errors import MienError
    from mien.hub.folder import ModelConfig
    from mien.images import ImageSource, OpenedImage
    from mien.labels import LabelSchema


@dataclass
class Prepared:
    """A picture that is decoded, searched and cropped, but not classified yet."""

    #: What to call it in the result, and its width and height in pixels.
    source: str
    size: tuple[int, int] = (0, 0)
    #: The M faces that were found; the regions that were cut out, float64 (M, 4) in pixels of the
    #: picture; and they themselves, uint8 (M, S, S, C) of the model's own size.
    detections: Detections = field(default_factory=Detections.empty)
    squares_xyxy: F64 = field(default_factory=lambda: np.zeros((0, 4)))
    crops: U8 = field(default_factory=lambda: np.zeros((0, 1, 1, 1), np.uint8))
    #: uint8 (H, W, 3), where it was to be kept.
    image_rgb: U8 | None = None
    timings_ms: dict[str, float] = field(default_factory=dict)
    #: What the answer leaves out, in sentences.
    warnings: tuple[str, ...] = ()
    #: Why it could not be read; the other fields are empty then.
    error: MienError | None = None
    #: Decodes it again, for results that are drawn later.
    origin: Origin | None = None

    def __len__(self) -> int:
        return len(self.crops)


@dataclass(frozen=True)
class Pipeline:
    """A model, a detector, and how their answer is put together.

    The rest is as for :class:`mien.EmotionRecognizer`; ``prior`` (K,) are the shares of the model's
    labels to answer for, None: as its folder says.
    """

    config: ModelConfig
    backend: Backend
    detector: Detector
    schema: LabelSchema
    batch_size: int = 64
    min_face: float | None = None
    max_faces: int | None = None
    limits: ImageLimits = field(default_factory=ImageLimits)
    prior: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name, value in (("batch_size", self.batch_size), ("max_faces", self.max_faces)):
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1; got {value}.")

    def prepare(
        self, source: ImageSource, *, bgr: bool = False, keep_image: bool = False
    ) -> Prepared:
        """Decodes a picture, as :meth:`mien.EmotionRecognizer.predict`, and crops its faces.

        Of a picture that cannot be read or searched the error is returned. ``keep_image`` keeps the
        decoded one.
        """
        options: Any = {"limits": self.limits, "bgr": bgr and isinstance(source, np.ndarray)}
        prepared = Prepared(describe_source(source), origin=Origin(source, **options))
        start = time.perf_counter()

        def lap(name: str) -> None:
            nonlocal start
            now = time.perf_counter()
            prepared.timings_ms[name], start = round((now - start) * 1000, 3), now

        try:
            picture = open_image(source, min_side=self.detector.working_side, **options)
            lap("decode")
            detections = self._detect(picture)
            lap("detect")
            squares = self.squares(detections.boxes_xyxy)
            prepared.crops = self._crop(picture, squares, detections.landmarks)
            lap("crop")
            if keep_image:
                prepared.image_rgb = picture.whole()
        except (InputError, DetectorError) as error:
            prepared.error = error
            return prepared
        prepared.size = (picture.width, picture.height)
        prepared.detections, prepared.squares_xyxy = detections, squares
        prepared.warnings = detections.warnings
        if picture.moves:
            reason = "it is an animation, of which only the first frame was read"
            prepared.warnings += (f"{reason}: mien.predict_video reads them all.",)
        if picture.damage:
            prepared.warnings += (f"{picture.damage}.",)
        return prepared

    def squares(self, boxes_xyxy: Floats) -> F64:
        """Returns the squares that are cut out for boxes (N, 4): float64 (N, 4), in pixels."""
        boxes = np.reshape(boxes_xyxy, (-1, 4)).astype(np.float64)
        if self.detector.whole_image:
            return boxes  # cut as for training, where nothing is added around a face
        return crop_box(boxes, self.detector.framing, margin=self.config.crop_margin)

    def _detect(self, picture: OpenedImage) -> Detections:
        """Returns the faces in pixels of the whole picture, however large it was decoded."""
        min_face = MIN_FACE if self.min_face is None else self.min_face
        least = min_face / max(picture.factors)
        found = run_detector(
            self.detector, picture.image_rgb, min_face=least, max_faces=self.max_faces
        )
        if picture.again is None:
            return found
        factor = np.array(picture.factors, np.float32)
        landmarks = None if found.landmarks is None else found.landmarks * factor
        boxes = found.boxes_xyxy * np.tile(factor, 2)
        return Detections(boxes, found.scores, landmarks, found.warnings)

    def _crop(self, picture: OpenedImage, squares: F64, landmarks: F32 | None) -> U8:
        """Cuts the faces out; from the whole picture where one is small in a reduced one."""
        p = self.config.preprocessing
        factor = np.array(picture.factors)
        sides = (squares[:, 2:] - squares[:, :2]) / factor
        if picture.again is not None and sides.min(initial=p.size) < p.size:
            # Enlarging a face that the file holds in more detail would cost accuracy.
            image_rgb, factor = picture.whole(), np.ones(2)
        else:
            image_rgb = picture.image_rgb
        points = None if landmarks is None else landmarks / factor
        return crop_faces(image_rgb, squares / np.tile(factor, 2), p, landmarks=points)

    def logits(self, crops: U8) -> F32:
        """Runs the network on crops of its own size: uint8 (N, S, S, C) to float32 (N, K)."""
        parts = (part.logits for part in self.outputs(crops))
        return np.concatenate([np.zeros((0, len(self.config.schema)), np.float32), *parts])

    def features(self, crops: U8) -> F32:
        """Returns the pooled last feature map of crops: float32 (N, F); F is 0 without one."""
        parts = []
        for part in self.outputs(crops, features=True):
            pooled = np.zeros((len(part.logits), 0)) if part.features is None else part.features
            parts.append(pooled.mean(axis=(2, 3)) if pooled.ndim == 4 else pooled)
        empty = np.zeros((0, self.config.num_features), np.float32)
        return np.concatenate(parts).astype(np.float32) if parts else empty

    def outputs(self, crops: U8, *, features: bool = False) -> Iterator[Outputs]:
        """Runs the network on crops of its own size, uint8 (N, S, S, C), batch by batch."""
        for start in range(0, len(crops), self.batch_size):
            batch = normalize(crops[start : start + self.batch_size], self.config.preprocessing)
            yield self.backend.run(batch, features=features)

    def calibrated(self, logits: F32) -> F64:
        """Turns logits (N, K) into calibrated probabilities (N, K) of the model's own labels."""
        return self.config.calibrated(logits, self.prior)

    @property
    def shares(self) -> dict[str, float] | None:
        """Share of each label that is answered for, as results keep it; None: those inside."""
        known, given = self.config.prior, self.prior
        given = known.own if given is None and known is not None else given
        if given is None:
            return None
        return dict(zip(self.config.schema.labels, given, strict=True))

    def answer(self, own: F64) -> F64:
        """Maps probabilities (N, K) of the model's labels to (N, L) of :attr:`schema`."""
        return map_probs(own, self.config.schema, self.schema)

    def probs(self, logits: F32) -> F64:
        """Turns logits (N, K) into calibrated probabilities (N, L) of :attr:`schema`."""
        return self.answer(self.calibrated(logits))

    def _sets(self, own: F64, probs: F64) -> tuple[list[tuple[str, ...] | None], Bools]:
        """Returns the prediction set of each face, and whether its label is not clear."""
        if self.config.conformal is None:
            return [None] * len(own), np.zeros(len(own), bool)
        held = self.config.conformal.prediction_sets(own)
        if self.schema != self.config.schema:
            held = (held @ mapping_matrix(self.config.schema, self.schema)) > 0
        clear = (held.sum(axis=1) == 1) & held[np.arange(len(own)), probs.argmax(axis=1)]
        labels = np.array(self.schema.labels)
        return [tuple(labels[row].tolist()) for row in held], ~clear

    def faces(
        self,
        own: F64,
        probs: F64,
        crops: U8,
        boxes_xyxy: Floats,
        scores: Sequence[float] | Floats,
        *,
        landmarks: F32 | None = None,
        track_ids: Sequence[int] | None = None,
    ) -> tuple[FaceEmotion, ...]:
        """Puts M probabilities and M boxes together: faces with prediction sets and flags.

        Probabilities are ``own`` (M, K), see :meth:`calibrated`, and ``probs`` (M, L), see
        :meth:`answer`; crops, uint8 (M, S, S, C), what the network saw; boxes (M, 4) and landmarks
        (M, P, 2) in pixels; ``track_ids`` (M,) the numbers of the people of a clip.
        """
        if not len(own):
            return ()
        sets, ambiguous = self._sets(own, probs)
        flags: list[tuple[str, ...]] = [("ambiguous",) if flag else () for flag in ambiguous]
        if self.config.quality is not None:
            sides = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).max(axis=1)
            sides = np.full(len(own), np.inf) if self.detector.whole_image else sides
            flags = self.config.quality.assess(crops, sides, ambiguous=ambiguous)
        return tuple(
            FaceEmotion.from_probs(
                self.schema.labels,
                probs[index],
                box_xyxy=boxes_xyxy[index],
                detection_score=scores[index],
                landmarks=None if landmarks is None else landmarks[index],
                prediction_set=sets[index],
                quality_flags=flags[index],
                track_id=None if track_ids is None else track_ids[index],
            )
            for index in range(len(probs))
        )

    def finish(self, prepared: Prepared, logits: F32) -> ImageResult:
        """Joins a prepared picture and the logits (M, K) of its faces."""
        if prepared.error is not None:
            raise prepared.error
        own, found = self.calibrated(logits), prepared.detections
        boxes, scores = found.boxes_xyxy, found.scores
        faces = self.faces(
            own, self.answer(own), prepared.crops, boxes, scores, landmarks=found.landmarks
        )
        result = ImageResult(
            prepared.source, *prepared.size, faces, self.config.name, self.detector.name,
            prepared.timings_ms, warnings=prepared.warnings, prior=self.shares,
        )  # fmt: skip
        return result if prepared.origin is None else result.with_origin(prepared.origin)

    def run(self, items: Sequence[Prepared]) -> list[ImageResult | ErrorResult]:
        """Runs the network once over the faces of several pictures; see :meth:`join`."""
        start = time.perf_counter()
        filled = [item.crops for item in items if len(item)]
        logits = self.logits(np.concatenate(filled) if filled else np.zeros((0, 1, 1, 1), np.uint8))
        return self.join(items, logits, time.perf_counter() - start)

    def join(
        self, items: Sequence[Prepared], logits: F32, seconds: float
    ) -> list[ImageResult | ErrorResult]:
        """Turns prepared pictures and the logits (N, K) of all faces into results, or errors."""
        per_face, first = 1000 * seconds / max(len(logits), 1), 0
        results: list[ImageResult | ErrorResult] = []
        for item in items:
            if item.error is not None:
                kind = type(item.error).__name__
                results.append(ErrorResult(item.source, str(item.error), kind))
            else:
                item.timings_ms["inference"] = round(per_face * len(item), 3)
                results.append(self.finish(item, logits[first : first + len(item)]))
                first += len(item)
        return results

    def single_threaded(self) -> Pipeline:
        """Returns the same pipeline with one thread per call, for callers that run in parallel.

        Workers that each wake all cores for one picture wait for each other and waste their time.
        """
        backend, detector = self.backend.single_threaded(), self.detector.single_threaded()
        return replace(self, backend=backend, detector=detector)


def describe_source(source: ImageSource) -> str:
    """Returns what to call a source in a result: its path or name, else its kind."""
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return "<bytes>"
    if isinstance(source, np.ndarray):
        return "<array>"
    name = getattr(source, "filename", None) or getattr(source, "name", None)
    return name if isinstance(name, str) and name else f"<{type(source).__name__}>"
