"""How a word on the command line becomes a detector."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

from mien.config import knows
from mien.detectors.protocol import AnyDetector, Detector, WholeImage, as_detector
from mien.errors import ConfigError, suggest

if TYPE_CHECKING:
    from mien.detectors.mien import Search

#: Makes a detector from what follows the colon of its spec (or ``None``) and a thread count.
DetectorFactory = Callable[[str | None, int], AnyDetector]
_Factory = TypeVar("_Factory", bound=DetectorFactory)

_FACTORIES: dict[str, DetectorFactory] = {}


def register_detector(name: str) -> Callable[[_Factory], _Factory]:
    """Makes a detector known to :func:`get_detector` and ``--detector``.

    The decorated function takes what follows the colon in ``"name:argument"`` (or ``None``) and
    the number of threads to use inside one picture (0: as many as there are cores). Heavy
    imports belong inside it.

    Raises:
        ConfigError: If the name is taken, empty, or has a colon.

    >>> from mien.detectors import Detections, Framing
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


def get_detector(spec: str | object, *, threads: int = 0) -> Detector:
    """Makes a detector.

    Args:
        spec: ``"mien"``, ``"mien:fast"``, ``"mien:full"``, ``"mien:0.3"``, ``"yunet"``,
            ``"yunet:PATH"``, ``"haar"``, ``"none"``, a registered name, or an object with a method
            ``detect`` (see :class:`Detector`).
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
        return as_detector(spec)
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 0:
        raise ConfigError(f"threads must be 0 or a whole number above; got {threads!r}.")
    name, colon, argument = spec.partition(":")
    if not knows(_FACTORIES, name):
        raise ConfigError(f"no face detector {name!r}." + suggest(name, _FACTORIES))
    if colon and name in {"none", "haar"}:
        raise ConfigError(f"detector {name!r} takes nothing after a colon; got {argument!r}.")
    return as_detector(_FACTORIES[name](argument if colon else None, threads))


@register_detector("mien")
def _make_mien(argument: str | None, threads: int) -> Detector:
    from mien.detectors.mien import MienDetector

    if argument in {None, "fast", "full"}:
        return MienDetector(threads=threads, search=cast("Search", argument or "auto"))
    try:
        score = float(argument)
    except ValueError:
        score = -1.0
    if not 0 < score < 1:
        raise ConfigError(
            f"detector 'mien' is typed as mien, mien:fast, mien:full or mien:SCORE with a lowest "
            f"score between 0 and 1; got {argument!r}."
        )
    return MienDetector(threads=threads, min_score=score)


@register_detector("none")
def _make_whole(_argument: str | None, _threads: int) -> Detector:
    return WholeImage()


@register_detector("haar")
def _make_haar(_argument: str | None, _threads: int) -> Detector:
    from mien.detectors.haar import HaarDetector

    return HaarDetector()


@register_detector("yunet")
def _make_yunet(argument: str | None, threads: int) -> Detector:
    from mien.detectors.yunet import YuNetDetector, fetch_yunet

    if argument == "":
        raise ConfigError("'yunet:' needs the path of an ONNX file; or type just 'yunet'.")
    return YuNetDetector(argument if argument is not None else fetch_yunet(), threads=threads)
