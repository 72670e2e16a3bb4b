"""``EmotionRecognizer``: pictures in, faces with emotion probabilities out."""

from __future__ import annotations

import copy
import itertools
import os
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.backends import Backend, open_backend
from mien.errors import ConfigError, InputError, MienError
from mien.faces import DEFAULT_DETECTOR, Detections, FaceDetector, crop_box, get_detector
from mien.faces.registry import MIN_FACE
from mien.hub import ONNX, WEIGHTS, ModelConfig, read_model_folder
from mien.images import ImageLimits, decode, open_image
from mien.labels import LabelSchema, get_schema, map_probs, mapping_matrix
from mien.metrics import softmax
from mien.preprocess import crop_faces, normalize, recolor
from mien.results import ErrorResult, FaceEmotion, ImageResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from numpy.typing import NDArray

    from mien.images import ImageSource, OpenedImage

#: Pictures that wait for a batch to fill, at most: bounds memory and delay of a long stream.
_MAX_WAITING = 8
#: Faces of a batch beside others: on one thread, more at once are no faster.
_MAX_FACES = 16


@dataclass
class PreparedImage:
    """A picture that is decoded, searched and cropped, but not classified yet.

    Args:
        source: What to call it in the result.
        size: Width and height in pixels.
        detections: The M faces that were found.
        crops: uint8 (M, S, S, C), of the model's own size.
        image_rgb: uint8 (H, W, 3), where it was to be kept.
        timings_ms: What each stage took.
        error: Why it could not be read; the other fields are empty then.
    """

    source: str
    size: tuple[int, int] = (0, 0)
    detections: Detections | None = None
    crops: NDArray[np.uint8] | None = None
    image_rgb: NDArray[np.uint8] | None = None
    timings_ms: dict[str, float] = field(default_factory=dict)
    error: MienError | None = None


Prediction = tuple["ImageResult | ErrorResult", "NDArray[np.uint8] | None"]


def _wishes(min_face: float | None, max_faces: int | None) -> dict[str, Any]:
    """Returns what was asked of the detector, without what was left to it."""
    values = {"min_face": min_face, "max_faces": max_faces}
    return {name: value for name, value in values.items() if value is not None}


class EmotionRecognizer:
    """Finds faces and reads their expressions.

    One recognizer may be used from any number of threads. Pictures are RGB at this border; arrays
    in OpenCV's channel order need ``bgr=True``.

    Args:
        model: A model folder, the name of a bundled model, or None for the default one.
        detector: A detector's name (``mien models`` lists them), ``NAME:FILE``, or an object
            with the detector protocol. ``"none"``: each picture is one face already.
        labels: Schema to answer in (``"ferplus8"``, ``"fer7"``, ``"hes3"`` or a LabelSchema);
            None: the model's own.
        backend: ``"onnx"``, or ``"torch"`` with the ``train`` extra.
        threads: Threads inside one network run; 0: as many as there are cores.
        batch_size: Faces the network takes at once.
        min_face: Smallest face to look for, in pixels of the picture; None: the detector's own.
        max_faces: Most faces to keep a picture; None: all.
        limits: How large a picture to accept.

    Raises:
        ConfigError: If a name or number is unknown or impossible.
        ModelError: If the model or detector cannot be loaded.
        MissingExtraError: If the backend or detector is not installed.

    >>> recognizer = EmotionRecognizer(detector="none")
    >>> result = recognizer.predict(np.zeros((48, 48, 3), np.uint8))
    >>> len(result.faces), round(sum(result.faces[0].probs.values()), 6)
    (1, 1.0)
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        detector: str | FaceDetector = DEFAULT_DETECTOR,
        labels: str | LabelSchema | None = None,
        backend: str = "onnx",
        threads: int = 0,
        batch_size: int = 64,
        min_face: int | None = None,
        max_faces: int | None = None,
        limits: ImageLimits | None = None,
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1; got {batch_size}.")
        if max_faces is not None and max_faces < 1:
            raise ConfigError(f"max_faces must be at least 1; got {max_faces}.")
        folder = read_model_folder(model)
        self.folder = folder
        self.config: ModelConfig = folder.config
        self.schema = (
            get_schema(labels) if isinstance(labels, str) else labels or self.config.schema
        )
        # An impossible mapping is refused here, not at the first face.
        map_probs(np.full((1, len(self.config.schema)), 1.0), self.config.schema, self.schema)
        self.detector = get_detector(detector) if isinstance(detector, str) else detector
        self._detector_name = detector if isinstance(detector, str) else None
        self.backend: Backend = open_backend(folder, backend, threads=threads)
        self.batch_size = batch_size
        self._search = _wishes(min_face, max_faces)
        self.limits = limits or ImageLimits()

    @classmethod
    def from_pretrained(
        cls,
        repo_id: str,
        *,
        revision: str | None = None,
        token: str | None = None,
        cache_dir: str | Path | None = None,
        file: str = ONNX,
        **options: Any,
    ) -> EmotionRecognizer:
        """Fetches a model folder from the Hugging Face Hub and opens it (extra ``hub``).

        Every file is of one commit, and its sha256 is the one in the folder's ``config.json``.

        Args:
            repo_id: ``ORG/NAME``.
            revision: Branch, tag or commit; None: the main branch.
            token: Access token; None: the one of ``HF_TOKEN`` or ``hf auth login``, if any.
            cache_dir: Where to keep it; None: the Hub's own cache.
            file: The network to run, for a repository that holds several.
            **options: As for the constructor.

        Raises:
            ConfigError: If a name or option is unknown or impossible.
            ModelError: If it cannot be fetched, or is not what its config says.
            MissingExtraError: If ``huggingface_hub`` is not installed.
        """
        from mien.hub_remote import fetch_model_folder

        torch = options.get("backend") == "torch"
        model = fetch_model_folder(
            repo_id,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            file=WEIGHTS if torch else file,
        )
        return cls(model, **options)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels it answers in, in the order of the probabilities."""
        return self.schema.labels

    def predict(self, source: ImageSource, *, bgr: bool = False) -> ImageResult:
        """Reads one picture.

        Args:
            source: Path, bytes, binary file, PIL image, or array (see :func:`mien.images.decode`).
            bgr: An array's channels are in OpenCV's order.

        Returns:
            The faces, most certain first; ``faces`` is empty where none was found.

        Raises:
            InputError: If the picture cannot be read.
        """
        prepared = self.prepare(source, bgr=bgr, keep_image=False)
        if prepared.error is not None:
            raise prepared.error
        return self._classify([prepared])[0]

    def predict_many(
        self, sources: Iterable[ImageSource], *, bgr: bool = False, workers: int | None = None
    ) -> Iterator[ImageResult | ErrorResult]:
        """Reads many pictures, several at a time, in their order.

        Decoding, detection and the network run in threads side by side; the network takes the
        faces of several pictures at once. Memory stays bounded however long the stream is. A
        picture that cannot be read gives an :class:`ErrorResult` in its place.

        Args:
            sources: Pictures as for :meth:`predict`.
            bgr: Arrays' channels are in OpenCV's order.
            workers: Threads, each for one picture at a time; None: as many as there are cores.

        Yields:
            One result for each picture.
        """
        for result, _ in self.stream(sources, bgr=bgr, workers=workers):
            yield result

    def stream(
        self,
        sources: Iterable[ImageSource],
        *,
        bgr: bool = False,
        workers: int | None = None,
        keep_images: bool = False,
    ) -> Iterator[Prediction]:
        """As :meth:`predict_many`, with the decoded picture beside each result when asked for.

        Yields:
            ``(result, image_rgb)``; the picture, uint8 (H, W, 3), is None unless ``keep_images``.
        """
        iterator = iter(sources)
        first = list(itertools.islice(iterator, 2))
        iterator = itertools.chain(first, iterator)
        # A single picture gets all cores; of several, each gets one, and nobody waits for another.
        threads = (workers or os.cpu_count() or 1) if len(first) > 1 else 1
        side = self._beside(threads)
        most_faces = min(self.batch_size, _MAX_FACES)
        waiting: list[PreparedImage] = []
        with ThreadPoolExecutor(max_workers=threads) as pool:
            futures: deque[Future[PreparedImage]] = deque()
            answers: deque[Future[list[Prediction]]] = deque()

            def fill() -> None:
                for source in itertools.islice(iterator, 2 * threads + 2 - len(futures)):
                    futures.append(
                        pool.submit(side.prepare, source, bgr=bgr, keep_image=keep_images)
                    )

            try:
                fill()
                while futures:
                    waiting.append(futures.popleft().result())
                    fill()
                    faces = sum(len(item.crops) for item in waiting if item.crops is not None)
                    if faces >= most_faces or len(waiting) >= _MAX_WAITING or not futures:
                        answers.append(pool.submit(side._answer, waiting))
                        waiting = []
                    while len(answers) > threads:
                        yield from answers.popleft().result()
                while answers:
                    yield from answers.popleft().result()
            finally:
                for future in futures:
                    future.cancel()
                for answer in answers:
                    answer.cancel()

    def predict_faces(
        self, faces: Sequence[ImageSource], *, bgr: bool = False
    ) -> NDArray[np.float64]:
        """Reads pictures that show one face each, cropped already; no detection.

        Args:
            faces: N pictures as for :meth:`predict`; of each the largest centred square is taken.
            bgr: Arrays' channels are in OpenCV's order.

        Returns:
            float64 (N, L), rows sum to 1, columns in the order of :attr:`labels`.

        Raises:
            InputError: If a picture cannot be read.
        """
        from mien.data.faces import whole_box

        p = self.config.preprocessing
        crops = np.empty((len(faces), p.size, p.size, p.channels), np.uint8)
        ready: list[tuple[int, NDArray[np.uint8]]] = []
        for index, face in enumerate(faces):
            image_rgb = decode(face, limits=self.limits, bgr=bgr and isinstance(face, np.ndarray))
            height, width = image_rgb.shape[:2]
            if height == width == p.size:
                ready.append((index, image_rgb))
            else:
                crops[index] = crop_faces(image_rgb, [whole_box(width, height)], p)[0]
        if ready:
            # Of the model's own size already: nothing to cut, and one conversion does them all.
            places, pictures = zip(*ready, strict=True)
            crops[list(places)] = recolor(np.stack(pictures), p)
        return self.probs(self.logits(crops))

    def logits(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Runs the network on crops of its own size: uint8 (N, S, S, C) to float32 (N, K)."""
        parts = [
            self.backend.run(
                normalize(crops[start : start + self.batch_size], self.config.preprocessing)
            ).logits
            for start in range(0, len(crops), self.batch_size)
        ]
        return (
            np.concatenate(parts) if parts else np.zeros((0, len(self.config.schema)), np.float32)
        )

    def probs(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Turns logits (N, K) into calibrated probabilities (N, L) of :attr:`labels`."""
        calibrated = softmax(logits, temperature=self.config.temperature)
        return map_probs(calibrated, self.config.schema, self.schema)

    def variant(
        self,
        *,
        detector: FaceDetector | None = None,
        schema: LabelSchema | None = None,
        min_face: float | None = None,
        max_faces: int | None = None,
    ) -> EmotionRecognizer:
        """Returns a recognizer that shares this one's network but searches or answers otherwise.

        Args:
            detector: Another detector; None keeps this one's.
            schema: Labels to answer in; None keeps this one's.
            min_face: Smallest face to look for, in pixels; None: the detector's own.
            max_faces: Most faces to keep a picture; None: all.

        >>> recognizer = EmotionRecognizer(detector="none")
        >>> few = recognizer.variant(schema=get_schema("hes3"))
        >>> len(few.labels), few.backend is recognizer.backend
        (3, True)
        """
        other = copy.copy(self)
        if detector is not None:
            other.detector, other._detector_name = detector, None
        other.schema = schema or self.schema
        other._search = _wishes(min_face, max_faces)
        return other

    def prepare(
        self, source: ImageSource, *, bgr: bool = False, keep_image: bool = False
    ) -> PreparedImage:
        """Decodes a picture, finds its faces and crops them: what threads do before the network.

        Args:
            source: As for :meth:`predict`.
            bgr: An array's channels are in OpenCV's order.
            keep_image: Keep the decoded picture.

        Returns:
            The crops; of a picture that cannot be read, the error.
        """
        prepared = PreparedImage(_describe(source))
        clock = _Clock(prepared.timings_ms)
        try:
            picture = open_image(
                source,
                least_side=_least_side(self.detector),
                limits=self.limits,
                bgr=bgr and isinstance(source, np.ndarray),
            )
            clock.lap("decode")
            detections = self._find(picture)
            clock.lap("detect")
            prepared.crops = self._crop(picture, detections)
            clock.lap("crop")
            if keep_image:
                prepared.image_rgb = picture.whole()
        except InputError as error:
            prepared.error = error
            return prepared
        prepared.size = (picture.width, picture.height)
        prepared.detections = detections
        return prepared

    def _find(self, picture: OpenedImage) -> Detections:
        """Returns the faces in pixels of the whole picture, however large it was decoded."""
        if picture.again is None:
            return self.detector.detect(picture.image_rgb, **self._search)
        across, down = picture.factors
        wishes = {"min_face": float(MIN_FACE), **self._search}
        wishes["min_face"] /= max(across, down)
        found = self.detector.detect(picture.image_rgb, **wishes)
        factor = np.array([across, down], np.float32)
        return Detections(
            found.boxes_xyxy * np.tile(factor, 2),
            found.scores,
            None if found.landmarks is None else found.landmarks * factor,
        )

    def _crop(self, picture: OpenedImage, detections: Detections) -> NDArray[np.uint8]:
        """Cuts the faces out; from the whole picture where one is small in a reduced one."""
        p, landmarks = self.config.preprocessing, detections.landmarks
        squares = crop_box(
            detections.boxes_xyxy, self.detector.framing, margin=self.config.crop_margin
        )
        factor = np.array(picture.factors)
        sides = (squares[:, 2:] - squares[:, :2]) / factor
        if picture.again is not None and sides.min(initial=p.size) < p.size:
            # Enlarging a face that the file holds in more detail would cost accuracy.
            image_rgb, factor = picture.whole(), np.ones(2)
        else:
            image_rgb = picture.image_rgb
        marks = None if landmarks is None else landmarks / factor
        return crop_faces(image_rgb, squares / np.tile(factor, 2), p, landmarks=marks)

    def _beside(self, workers: int) -> EmotionRecognizer:
        """Returns a recognizer that keeps to one thread where several work side by side.

        Workers that each wake all cores for one picture wait for each other and burn their time.
        """
        if workers == 1:
            return self
        side = copy.copy(self)
        side.backend = getattr(self.backend, "on_one_thread", self.backend)
        if self._detector_name is not None:
            side.detector = get_detector(self._detector_name, threads=1)
        return side

    def _answer(self, waiting: list[PreparedImage]) -> list[Prediction]:
        results = iter(self._classify([item for item in waiting if item.error is None]))
        return [
            (next(results), item.image_rgb)
            if item.error is None
            else (ErrorResult(item.source, str(item.error), type(item.error).__name__), None)
            for item in waiting
        ]

    def _classify(self, prepared: list[PreparedImage]) -> list[ImageResult]:
        crops = [item.crops for item in prepared if item.crops is not None and len(item.crops)]
        start = time.perf_counter()
        logits = (
            self.logits(np.concatenate(crops)) if crops else self.logits(_no_crops(self.config))
        )
        per_face = (time.perf_counter() - start) * 1000 / max(len(logits), 1)
        results, first = [], 0
        for item in prepared:
            count = 0 if item.crops is None else len(item.crops)
            item.timings_ms["run"] = round(per_face * count, 3)
            results.append(self.result(item, logits[first : first + count]))
            first += count
        return results

    def result(self, item: PreparedImage, logits: NDArray[np.float32]) -> ImageResult:
        """Joins a prepared picture and the logits (M, K) of its faces."""
        found = item.detections
        probs = self.probs(logits) if len(logits) else np.zeros((0, len(self.schema)))
        plausible, doubts = self.judge(item, logits)
        faces = [
            FaceEmotion.from_probs(
                self.labels,
                probs[index],
                box_xyxy=found.boxes_xyxy[index],
                detection_score=found.scores[index],
                landmarks=None if found.landmarks is None else found.landmarks[index],
                prediction_set=plausible[index],
                doubts=doubts[index],
            )
            for index in range(len(probs))
            if found is not None
        ]
        return ImageResult(
            source=item.source,
            width=item.size[0],
            height=item.size[1],
            faces=tuple(faces),
            model=self.config.name,
            detector=self.detector.name,
            timings_ms=item.timings_ms,
        )

    def judge(
        self, item: PreparedImage, logits: NDArray[np.float32]
    ) -> tuple[list[tuple[str, ...] | None], list[tuple[str, ...]]]:
        """Returns each face's prediction set in the labels of the answer, and its doubts.

        Args:
            item: A prepared picture with M faces.
            logits: (M, K), the network's.

        Returns:
            M sets, None each where the model has none, and M tuples of words of
            :data:`mien.uncertainty.DOUBTS`.
        """
        limits, found = self.config.uncertainty, item.detections
        if limits is None or found is None or item.crops is None or not len(logits):
            return [None] * len(logits), [()] * len(logits)
        own = limits.prediction_sets(softmax(logits, temperature=self.config.temperature))
        sets = own
        if self.schema != self.config.schema:
            sets = (own @ mapping_matrix(self.config.schema, self.schema)) > 0
        boxes = found.boxes_xyxy
        sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
        if self.detector.name == "none":
            sides = np.full(len(boxes), np.inf)
        labels = np.array(self.labels)
        return (
            [tuple(map(str, labels[row])) for row in sets],
            limits.doubts(sets, item.crops, sides),
        )


def _no_crops(config: ModelConfig) -> NDArray[np.uint8]:
    p = config.preprocessing
    return np.zeros((0, p.size, p.size, p.channels), np.uint8)


def _least_side(detector: FaceDetector) -> int | None:
    """Returns how small a large photo may be decoded for a detector; None: not at all.

    That is twice the side at which mien's own detector looks, so that what it sees, and what
    ``mien:fine`` sees, holds every pixel that it would else; nothing is known of other detectors.
    """
    side = getattr(getattr(detector, "config", None), "max_side", None)
    return 2 * side if isinstance(side, int) else None


class _Clock:
    """Writes milliseconds between laps into a dict."""

    def __init__(self, timings_ms: dict[str, float]) -> None:
        self._timings_ms = timings_ms
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self._timings_ms[name] = round((now - self._last) * 1000, 3)
        self._last = now


def _describe(source: ImageSource) -> str:
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return "<bytes>"
    if isinstance(source, np.ndarray):
        return "<array>"
    name = getattr(source, "filename", None) or getattr(source, "name", None)
    return name if isinstance(name, str) and name else f"<{type(source).__name__}>"
