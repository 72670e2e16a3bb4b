"""``EmotionRecognizer``: pictures in, faces with emotion probabilities out."""

from __future__ import annotations

import copy
import functools
import itertools
import os
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
from PIL import Image

from mien.backends import open_backend
from mien.detectors import DEFAULT_DETECTOR, get_detector
from mien.errors import ConfigError
from mien.hub import CONFIG, ONNX, WEIGHTS, ModelConfig, read_model_folder
from mien.images import ImageLimits, decode
from mien.labels import LabelSchema, as_schema, map_probs
from mien.pipeline import Pipeline, Prepared
from mien.preprocess import crop_faces, recolor, whole_box
from mien.results import ErrorResult, ImageResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from mien.arrays import F32, F64, U8
    from mien.detectors.protocol import AnyDetector, Detector
    from mien.hub import ModelFolder
    from mien.images import ImageSource

__all__ = ["EmotionRecognizer", "Prediction", "as_recognizer", "is_many", "predict"]

#: Pictures that wait for a batch to fill, at most: bounds memory and delay of a long stream.
_MAX_WAITING = 8
#: Faces per batch of a stream: on one thread, more at once are no faster.
_MAX_FACES = 16
_SHARED_LOCK = threading.Lock()

_In = TypeVar("_In")
_Out = TypeVar("_Out")
Prediction = tuple["ImageResult | ErrorResult", "U8 | None"]


class EmotionRecognizer:
    """Finds faces and reads their expressions.

    One recognizer may be used from any number of threads, and can be pickled into other
    processes. Pictures are RGB at this border; arrays in OpenCV's channel order need ``bgr=True``.

    Args:
        model: A model folder, the name of a bundled model, or None for the default one.
        detector: A detector's name (``mien models`` lists them), ``NAME:FILE``, or an object with
            a method ``detect``. ``"none"``: each picture is one face already.
        labels: Schema to answer in (``"ferplus8"``, ``"fer7"``, ``"hes3"`` or a LabelSchema);
            None: the model's own.
        backend: ``"onnx"``, or ``"torch"`` with the ``train`` extra.
        device: ``"auto"`` (a GPU where the backend has one), ``"cpu"``, ``"cuda"``, ``"cuda:1"``.
        threads: Threads inside one network run; 0: as many as there are cores.
        batch_size: Faces that the network takes at once.
        min_face: Smallest face to search for, in pixels of the picture; None: the detector's own.
        max_faces: How many faces to keep per picture; None: all.
        min_score: Lowest detection score, 0..1; None: the detector's own.
        limits: How large a picture to accept.
        prior: How common each label is among your faces: ``"natural"`` (as among those that the
            model learned from), ``"balanced"``, or shares by label, ``{"fear": 0.05}``, of which
            labels that are not named divide the rest. None: as the model was shipped.

    Raises:
        ConfigError: If a name or number is unknown or impossible.
        ModelError: If the model or detector cannot be loaded.
        MissingExtraError: If the backend or detector is not installed.

    >>> recognizer = EmotionRecognizer(detector="none")
    >>> result = recognizer(np.zeros((48, 48, 3), np.uint8))
    >>> len(result.faces), round(sum(result.faces[0].probs.values()), 6)
    (1, 1.0)
    """

    def __init__(  # noqa: PLR0913 - all by name; they are the options of every way in
        self,
        model: str | Path | None = None,
        *,
        detector: str | AnyDetector = DEFAULT_DETECTOR,
        labels: str | LabelSchema | None = None,
        backend: str = "onnx",
        device: str = "auto",
        threads: int = 0,
        batch_size: int = 64,
        min_face: int | None = None,
        max_faces: int | None = None,
        min_score: float | None = None,
        limits: ImageLimits | None = None,
        prior: str | Mapping[str, float] | None = None,
    ) -> None:
        numbers = {"threads": threads, "batch_size": batch_size}
        numbers |= {"min_face": min_face or 0, "max_faces": max_faces or 0}
        for name, value in numbers.items():
            if not isinstance(value, (int, float, np.number)):
                raise ConfigError(f"must be a number; got {value!r}", subject=name)
        self.folder = read_model_folder(model)
        self.pipeline = Pipeline(
            config=self.folder.config,
            backend=open_backend(self.folder, backend, threads=threads, device=device),
            detector=_detector(detector, min_score),
            schema=_answer_schema(labels, self.folder.config),
            batch_size=batch_size,
            min_face=min_face,
            max_faces=max_faces,
            limits=limits or ImageLimits(),
            prior=_target_shares(prior, self.folder),
        )

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
        from mien.hub.remote import fetch_model_folder

        model = fetch_model_folder(
            repo_id,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            file=WEIGHTS if options.get("backend") == "torch" else file,
        )
        return cls(model, **options)

    @property
    def config(self) -> ModelConfig:
        """What the model's weights mean."""
        return self.pipeline.config

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels it answers in, in the order of the probabilities."""
        return self.pipeline.schema.labels

    def __repr__(self) -> str:
        pipeline = self.pipeline
        return (
            f"EmotionRecognizer({self.config.name!r}, detector={pipeline.detector.name!r}, "
            f"backend={pipeline.backend.name!r}, labels={pipeline.schema.name!r})"
        )

    @overload
    def __call__(self, source: ImageSource, *, bgr: bool = False) -> ImageResult: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(
        self, source: Iterable[ImageSource], *, bgr: bool = False
    ) -> list[ImageResult | ErrorResult]: ...
    def __call__(
        self, source: ImageSource | Iterable[ImageSource], *, bgr: bool = False
    ) -> ImageResult | list[ImageResult | ErrorResult]:
        """Reads one picture, or every picture of a list; see :meth:`predict`.

        Raises:
            InputError: If the one picture cannot be read; in a list that is an ``ErrorResult``.
        """
        if is_many(source):
            return list(self.predict_many(source, bgr=bgr))  # type: ignore[arg-type]
        return self.predict(source, bgr=bgr)  # type: ignore[arg-type]

    def predict(self, source: ImageSource, *, bgr: bool = False) -> ImageResult:
        """Reads one picture.

        Args:
            source: Path, bytes, binary file, PIL image, or array (see :func:`mien.images.decode`).
            bgr: An array's channels are in OpenCV's order.

        Returns:
            The faces, largest first; ``faces`` is empty where none was found.

        Raises:
            InputError: If the picture cannot be read.
            DetectorError: If the detector fails on it.
        """
        result = self.pipeline.run([self._prepared(source, bgr=bgr)])[0]
        assert isinstance(result, ImageResult)  # noqa: S101 - it has no error
        return result

    def predict_many(
        self, sources: Iterable[ImageSource], *, bgr: bool = False, workers: int | None = None
    ) -> Iterator[ImageResult | ErrorResult]:
        """Reads many pictures, several at a time, in their order.

        Decoding, detection and the network run in threads in parallel; the network takes the
        faces of several pictures at once. Memory stays bounded however long the stream is. A
        picture that cannot be read gives an :class:`ErrorResult` in its place.

        Args:
            sources: Pictures as for :meth:`predict`; one alone gives one result.
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
        """As :meth:`predict_many`, with the decoded picture next to each result when asked for.

        Yields:
            ``(result, image_rgb)``; the picture, uint8 (H, W, 3), is None unless ``keep_images``.
        """
        iterator = iter(as_many(sources))
        first = list(itertools.islice(iterator, 2))
        # A single picture gets all cores; of several, each gets one, and nobody waits for another.
        threads = (workers or os.cpu_count() or 1) if len(first) > 1 else 1
        pipeline = self.pipeline if threads == 1 else self.pipeline.single_threaded()
        prepare = functools.partial(pipeline.prepare, bgr=bgr, keep_image=keep_images)
        pool = ThreadPoolExecutor(max_workers=threads)
        try:
            items = _in_order(pool, prepare, itertools.chain(first, iterator), 2 * threads + 2)
            batches = _batches(items, min(pipeline.batch_size, _MAX_FACES))
            answer = functools.partial(_answer, pipeline)
            yield from itertools.chain.from_iterable(_in_order(pool, answer, batches, threads + 1))
        finally:
            pool.shutdown(cancel_futures=True)

    def predict_faces(self, faces: Sequence[ImageSource] | U8, *, bgr: bool = False) -> F64:
        """Reads pictures that show one face each, cropped already; no detection.

        Args:
            faces: N pictures as for :meth:`predict`; of each the largest centred square is taken.
            bgr: Arrays' channels are in OpenCV's order.

        Returns:
            float64 (N, L), rows sum to 1, columns in the order of :attr:`labels`.

        Raises:
            InputError: If a picture cannot be read.
        """
        p, faces = self.config.preprocessing, list(as_many(faces))
        crops = np.empty((len(faces), p.size, p.size, p.channels), np.uint8)
        ready: list[tuple[int, U8]] = []
        for index, face in enumerate(faces):
            is_array = isinstance(face, np.ndarray)
            image_rgb = decode(face, limits=self.pipeline.limits, bgr=bgr and is_array)
            height, width = image_rgb.shape[:2]
            if height == width == p.size:
                ready.append((index, image_rgb))
            else:
                crops[index] = crop_faces(image_rgb, [whole_box(width, height)], p)[0]
        if ready:
            # Of the model's own size already: nothing to cut, and one conversion does them all.
            positions, pictures = zip(*ready, strict=True)
            crops[list(positions)] = recolor(np.stack(pictures), p)
        return self.pipeline.probs(self.pipeline.logits(crops))

    def features(self, source: ImageSource, *, bgr: bool = False) -> F32:
        """Returns what the network knows of each face before its last layer.

        Args:
            source: As for :meth:`predict`.
            bgr: An array's channels are in OpenCV's order.

        Returns:
            float32 (M, F), one row per face in the order of ``predict(source).faces``.

        Raises:
            InputError: If the picture cannot be read.
            DetectorError: If the detector fails on it.

        >>> EmotionRecognizer(detector="none").features(np.zeros((48, 48, 3), np.uint8)).shape
        (1, 240)
        """
        return self.pipeline.features(self._prepared(source, bgr=bgr).crops)

    def _prepared(self, source: ImageSource, *, bgr: bool) -> Prepared:
        prepared = self.pipeline.prepare(source, bgr=bgr)
        if prepared.error is not None:
            raise prepared.error
        return prepared

    def variant(
        self,
        *,
        detector: str | AnyDetector | None = None,
        labels: str | LabelSchema | None = None,
        min_face: float | None = None,
        max_faces: int | None = None,
        min_score: float | None = None,
        prior: str | Mapping[str, float] | None = None,
    ) -> EmotionRecognizer:
        """Returns a recognizer that shares this one's network but searches or answers otherwise.

        Args:
            detector: Another detector; None keeps this one's.
            labels: Labels to answer in; None keeps this one's.
            min_face: Smallest face to search for, in pixels; None keeps this one's.
            max_faces: How many faces to keep per picture; None keeps this one's.
            min_score: Lowest detection score, 0..1; None keeps this one's.
            prior: Shares of labels to answer for; None keeps this one's.

        Raises:
            ConfigError: If a name or number is unknown or impossible.

        >>> recognizer = EmotionRecognizer(detector="none")
        >>> few = recognizer.variant(labels="hes3")
        >>> len(few.labels), few.pipeline.backend is recognizer.pipeline.backend
        (3, True)
        """
        other, pipeline = copy.copy(self), self.pipeline
        other.pipeline = replace(
            pipeline,
            detector=_detector(pipeline.detector if detector is None else detector, min_score),
            schema=pipeline.schema if labels is None else _answer_schema(labels, self.config),
            min_face=pipeline.min_face if min_face is None else min_face,
            max_faces=pipeline.max_faces if max_faces is None else max_faces,
            prior=pipeline.prior if prior is None else _target_shares(prior, self.folder),
        )
        return other


@overload
def predict(source: ImageSource, *, bgr: bool = False, **options: Any) -> ImageResult: ...
@overload
def predict(
    source: Iterable[ImageSource], *, bgr: bool = False, **options: Any
) -> list[ImageResult | ErrorResult]: ...
def predict(
    source: ImageSource | Iterable[ImageSource], *, bgr: bool = False, **options: Any
) -> ImageResult | list[ImageResult | ErrorResult]:
    """Reads one picture or many with a recognizer that the whole process shares.

    The recognizer is made on the first call with its options, and kept. Any number of threads
    may call this.

    Args:
        source: A picture, or several; see :meth:`EmotionRecognizer.predict`.
        bgr: Arrays' channels are in OpenCV's order.
        **options: Model, detector and so on: those of :class:`EmotionRecognizer`.

    Returns:
        The result of one picture, or a list with a result or an ``ErrorResult`` for each.

    Raises:
        InputError: If the one picture cannot be read.
        DetectorError: If the detector fails on it.
        ConfigError: If an option is impossible.
        ModelError: If the model or detector cannot be loaded.

    >>> result = mien.predict("photo.jpg")
    >>> result.faces[0].emotion
    'happiness'
    >>> sum(len(each.faces) for each in mien.predict(["photo.jpg", "photo.jpg"], max_faces=1))
    2
    """
    return as_recognizer(**options)(source, bgr=bgr)


def as_recognizer(
    model: str | Path | EmotionRecognizer | None = None, **options: Any
) -> EmotionRecognizer:
    """Returns a recognizer as it is, or the one that the whole process shares for these options.

    Raises:
        ConfigError: If an option is impossible.
        ModelError: If the model or detector cannot be loaded.
    """
    if isinstance(model, EmotionRecognizer):
        return model.variant(**options) if options else model
    path = Path(model) if isinstance(model, (str, Path)) else None
    configs = [] if path is None else [path / CONFIG, path.parent / CONFIG]
    # A run that was trained anew is another model under the old name; so is one after a fork.
    stamp = os.getpid(), *(path.stat().st_mtime_ns for path in configs if path.is_file())
    with _SHARED_LOCK:
        return _shared(stamp, _Options(model=model, **options))


class _Options(dict[str, Any]):
    """Options as a key: equal where all values are, or are the same object."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(sorted(self)))


@functools.lru_cache(maxsize=8)
def _shared(_stamp: tuple[int, ...], options: _Options) -> EmotionRecognizer:
    return EmotionRecognizer(**options)


def is_many(source: object) -> bool:
    """Returns whether a source is several pictures: an iterable that is no picture itself.

    >>> is_many("a.jpg"), is_many(["a.jpg"]), is_many(np.zeros((2, 2, 3)))
    (False, True, False)
    """
    single = (str, bytes, bytearray, memoryview, os.PathLike, Image.Image, np.ndarray)
    return (
        not isinstance(source, single)
        and not hasattr(source, "read")
        and hasattr(source, "__iter__")
    )


def as_many(sources: ImageSource | Iterable[ImageSource]) -> Iterable[ImageSource]:
    """Returns pictures to iterate over; one picture alone is one of many, not letters or rows.

    >>> as_many("a.jpg"), len(as_many(np.zeros((5, 48, 48, 3))))
    (['a.jpg'], 5)
    """
    if isinstance(sources, np.ndarray):
        is_batch = sources.ndim == 4 or (sources.ndim == 3 and sources.shape[2] not in {1, 3, 4})
        return sources if is_batch else [sources]
    return sources if is_many(sources) else [sources]  # type: ignore[return-value, list-item]


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[_In], _Out], items: Iterable[_In], ahead: int
) -> Iterator[_Out]:
    """Yields what threads make of items, in their order, with so many under way at most."""
    iterator, waiting = iter(items), deque[Future[_Out]]()
    while True:
        for item in itertools.islice(iterator, ahead - len(waiting)):
            waiting.append(pool.submit(work, item))
        if not waiting:
            return
        yield waiting.popleft().result()


def _batches(items: Iterable[Prepared], max_faces: int) -> Iterator[list[Prepared]]:
    waiting: list[Prepared] = []
    for item in items:
        waiting.append(item)
        if sum(map(len, waiting)) >= max_faces or len(waiting) >= _MAX_WAITING:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _answer(pipeline: Pipeline, waiting: list[Prepared]) -> list[Prediction]:
    return list(zip(pipeline.run(waiting), (item.image_rgb for item in waiting), strict=True))


def _answer_schema(labels: str | LabelSchema | None, config: ModelConfig) -> LabelSchema:
    """Returns the schema to answer in; one that the model's labels do not map to is refused."""
    schema = as_schema(labels) or config.schema
    map_probs(np.full((1, len(config.schema)), 1.0), config.schema, schema)
    return schema


def _target_shares(
    prior: str | Mapping[str, float] | None, folder: ModelFolder
) -> tuple[float, ...] | None:
    known = folder.config.prior
    if prior is None:
        return None
    if known is None:
        raise ConfigError(
            f"cannot be changed: {folder.path} does not say which shares its answers hold",
            subject="prior",
            hint="Record them from the faces it learned from: "
            f"mien calibrate -m {folder.path} -d KIND:PATH --split train --prior learned",
        )
    return known.target(prior, folder.config.schema)


def _detector(given: str | AnyDetector, min_score: float | None) -> Detector:
    detector = get_detector(given)
    if min_score is None:
        return detector
    if not 0 <= min_score <= 1:
        raise ConfigError(f"min_score must lie in 0..1; got {min_score!r}.")
    return detector.with_min_score(min_score)
