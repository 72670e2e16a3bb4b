"""The detector protocol, and how a word on the command line becomes a detector."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from mien.errors import ConfigError, suggest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mien.faces.detections import Detections
    from mien.faces.framing import Framing

#: Faces whose box is smaller than this, in pixels, tell little about an expression.
MIN_FACE = 20.0


@runtime_checkable
class FaceDetector(Protocol):
    """What a detector is. Any number of threads may call ``detect`` of one detector.

    A detector needs no base class::

        class MyDetector:
            name = "mine"
            framing = Framing(scale=1.1)

            def detect(self, image_rgb, *, min_face=20.0, max_faces=None):
                boxes_xyxy, scores = ...
                return Detections(boxes_xyxy, scores).keep(min_face=min_face, max_faces=max_faces)
    """

    @property
    def name(self) -> str:
        """Short name; it is reported with every result."""
        ...

    @property
    def framing(self) -> Framing:
        """How its boxes relate to the framing that mien's models expect."""
        ...

    def detect(
        self,
        image_rgb: NDArray[np.uint8],
        *,
        min_face: float = MIN_FACE,
        max_faces: int | None = None,
    ) -> Detections:
        """Finds the faces of one picture, the largest first.

        Args:
            image_rgb: uint8 (H, W, 3).
            min_face: Smallest face to report: the longer side of its box, in pixels.
            max_faces: Most faces to report, the largest; ``None`` reports all.

        Raises:
            InputError: If ``image_rgb`` is not such a picture.
        """
        ...


#: Makes a detector from what follows the colon of its spec (or ``None``) and a thread count.
DetectorFactory = Callable[[str | None, int], FaceDetector]
_Factory = TypeVar("_Factory", bound=DetectorFactory)

_FACTORIES: dict[str, DetectorFactory] = {}


def register_detector(name: str) -> Callable[[_Factory], _Factory]:
    """Makes a detector known to :func:`get_detector` and ``--detector``.

    The decorated function takes what follows the colon in ``"name:argument"`` (or ``None``) and
    the number of threads to use inside one picture (0: as many as there are cores). Heavy
    imports belong inside it.

    Raises:
        ConfigError: If the name is taken, empty, or has a colon.

    >>> from mien.faces import Detections, Framing
    >>> class Centre:
    ...     name, framing = "centre", Framing()
    ...     def detect(self, image_rgb, *, min_face=20.0, max_faces=None):
    ...         h, w = image_rgb.shape[:2]
    ...         return Detections([[w / 4, h / 4, w * 3 / 4, h * 3 / 4]], [1.0])
    >>> @register_detector("centre")
    ... def make_centre(argument, threads):
    ...     return Centre()
    >>> get_detector("centre").name
    'centre'
    """
    if not name or ":" in name or name in _FACTORIES:
        taken = "is taken" if name in _FACTORIES else "is empty or has a colon"
        raise ConfigError(f"cannot register a detector as {name!r}: the name {taken}.")

    def register(factory: _Factory) -> _Factory:
        _FACTORIES[name] = factory
        return factory

    return register


def detector_names() -> tuple[str, ...]:
    """Returns the registered names in alphabetical order."""
    return tuple(sorted(_FACTORIES))


def get_detector(spec: str | FaceDetector, *, threads: int = 0) -> FaceDetector:
    """Makes a detector.

    Args:
        spec: ``"mien"``, ``"mien:fine"``, ``"mien:verify"``, ``"mien:0.65"``, ``"yunet"``,
            ``"yunet:PATH"``, ``"haar"``, ``"none"``, a registered name, or a detector, which is
            returned as it is.
        threads: Threads to use inside one picture; 0 leaves it to the library.

    Raises:
        ConfigError: If there is no such detector, or it takes no argument and got one.
        ModelError: If what the detector needs is missing or damaged.

    >>> get_detector("none").name
    'none'
    >>> get_detector("yune")
    Traceback (most recent call last):
    mien.errors.ConfigError: no face detector 'yune'. Did you mean 'yunet'?
    """
    if not isinstance(spec, str):
        if isinstance(spec, FaceDetector):
            return spec
        raise ConfigError(f"a detector is a name or has name, framing and detect; got {spec!r}.")
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 0:
        raise ConfigError(f"threads must be 0 or a whole number above; got {threads!r}.")
    name, colon, argument = spec.partition(":")
    if name not in _FACTORIES:
        raise ConfigError(f"no face detector {name!r}." + suggest(name, _FACTORIES))
    return _FACTORIES[name](argument if colon else None, threads)


def _no_argument(name: str, argument: str | None) -> None:
    if argument is not None:
        raise ConfigError(f"detector {name!r} takes nothing after a colon; got {argument!r}.")


@register_detector("mien")
def _make_finder(argument: str | None, threads: int) -> FaceDetector:
    from mien.faces.finder import FinderDetector

    if argument in (None, "fine", "verify"):
        return FinderDetector(threads=threads, fine=argument == "fine", verify=argument == "verify")
    try:
        score = float(str(argument))
    except ValueError:
        score = -1.0
    if not 0 < score < 1:
        raise ConfigError(
            f"detector 'mien' is typed as mien, mien:fine, mien:verify or mien:SCORE with a "
            f"lowest score between 0 and 1; got {argument!r}."
        )
    return FinderDetector(threads=threads, min_score=score)


@register_detector("none")
def _make_whole(argument: str | None, threads: int) -> FaceDetector:  # noqa: ARG001
    from mien.faces.whole import WholeImage

    _no_argument("none", argument)
    return WholeImage()


@register_detector("haar")
def _make_haar(argument: str | None, threads: int) -> FaceDetector:  # noqa: ARG001
    from mien.faces.haar import HaarDetector

    _no_argument("haar", argument)
    return HaarDetector()


@register_detector("yunet")
def _make_yunet(argument: str | None, threads: int) -> FaceDetector:
    from mien.faces.yunet import YuNetDetector, fetch_yunet

    if argument == "":
        raise ConfigError("'yunet:' needs the path of an ONNX file; or type just 'yunet'.")
    return YuNetDetector(argument if argument is not None else fetch_yunet(), threads=threads)
