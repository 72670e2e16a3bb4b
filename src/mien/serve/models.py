"""The models and detectors of a service: loaded once, shared by all requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.detectors import get_detector
from mien.errors import ConfigError
from mien.explanation import light_method
from mien.hub import ASSETS
from mien.images import ImageLimits, decode
from mien.labels import SCHEMAS, get_schema, map_probs
from mien.priors import parse_prior
from mien.recognizer import EmotionRecognizer
from mien.serve.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mien.detectors import Detector
    from mien.serve.batcher import Batcher
    from mien.serve.config import ServeConfig
    from mien.serve.schemas import Options

_SAMPLE = ASSETS / "sample" / "astronaut.jpg"


@dataclass(frozen=True)
class Model:
    """A recognizer, the batcher that runs its network, and how its maps are made."""

    name: str
    recognizer: EmotionRecognizer
    batcher: Batcher
    method: str

    @property
    def schemas(self) -> list[str]:
        """Label schemas that it can answer in."""
        own = self.recognizer.config.schema
        found = [own.name]
        for name, schema in SCHEMAS.items():
            try:
                map_probs(np.full((1, len(own)), 1.0), own, schema)
            except ConfigError:
                continue
            found += [] if name in found else [name]
        return found


class Models:
    """Opens everything in the config, with a batcher for each network, and warms it up."""

    def __init__(self, config: ServeConfig, batcher: Callable[..., Batcher]) -> None:
        limits = ImageLimits(max_bytes=config.max_body, max_pixels=config.max_pixels)
        opened = [get_detector(spec) for spec in config.detector]
        self.detectors: dict[str, Detector] = {detector.name: detector for detector in opened}
        self.models: dict[str, Model] = {}
        # A photo with a face: what is allocated for the first one is there before it comes.
        sample_rgb = decode(_SAMPLE)
        for name, folder in config.models.items():
            recognizer = EmotionRecognizer(
                folder, detector=opened[0], threads=config.threads, device=config.device,
                batch_size=config.batch_size, limits=limits,
            )  # fmt: skip
            runner = batcher(name, recognizer.pipeline.logits)
            self.models[name] = Model(name, recognizer, runner, light_method(recognizer))
            recognizer.predict_faces([sample_rgb])
        for detector in self.detectors.values():
            detector.detect(sample_rgb)

    def close(self) -> None:
        """Ends the batchers' threads."""
        for model in self.models.values():
            model.batcher.close()

    def choose(self, options: Options) -> tuple[Model, EmotionRecognizer]:
        """Returns the model of a request, and a recognizer that answers as it asks."""
        model = self.models[_known("model", options.model, list(self.models))]
        detector = _known("detector", options.detector, list(self.detectors))
        labels = options.labels
        schema = None if labels is None else get_schema(_known("labels", labels, model.schemas))
        try:
            return model, model.recognizer.variant(
                detector=self.detectors[detector], labels=schema, min_face=options.min_face,
                max_faces=options.max_faces, prior=parse_prior(options.prior),
            )  # fmt: skip
        except ConfigError as error:
            raise ProblemError(422, str(error), parameter="prior") from error


def _known(what: str, given: str | None, known: list[str]) -> str:
    if given is None:
        return known[0]
    if given not in known:
        raise ProblemError(
            422, f"no {what} {given[:80]!r} here. Known: {', '.join(known)}.", parameter=what
        )
    return given
