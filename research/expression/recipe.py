"""The settings of a run, as one YAML file."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

TEACHER_SHARES = {"ferplus": 0.46, "affect": 0.38, "cfee": 0.08, "contempt": 0.06, "moodme": 0.02}
STUDENT_SHARES = {
    "ferplus": 0.40, "affect": 0.32, "cfee": 0.07, "contempt": 0.05, "moodme": 0.02,
    "portraits": 0.07, "photos": 0.07,
}  # fmt: skip


@dataclass(frozen=True)
class Phase:
    """One training of a network.

    Args:
        network: See :func:`research.expression.networks.build`.
        share: Of the time.
        role: ``"teacher"`` (labels alone) or ``"student"`` (labels and the teachers' answers).
        start: Weights to begin with: ``"random"``, ``"bundled"``, ``"imagenet"``, or the name of
            an earlier phase.
        lr: Peak learning rate.
        optimizer: ``"sgd"`` or ``"adamw"``.
        weight_decay: See :class:`research.expression.fitting.FitSettings`.
        batch_size: Faces per step.
        file: Name of the safetensors file of its average; empty: not written.
    """

    network: str
    share: float
    role: str = "teacher"
    start: str = "random"
    lr: float = 0.2
    optimizer: str = "sgd"
    weight_decay: float = 5e-4
    batch_size: int = 512
    file: str = ""


@dataclass(frozen=True)
class Recipe:
    """A whole run.

    Args:
        faces: Folder that :mod:`research.expression.pack` wrote.
        out: Folder of results.
        seconds: Time for all of it.
        phases: Name -> training, in order.
        answers_share: Share of the time for the teachers' answers.
        bundled: Weights of the bundled network: a student's start, and a teacher of FER+'s faces.
        imagenet: int8 file of EfficientNet-Lite2.
        class_power: A class's share among the drawn faces of a source is its own to this power.
        teacher_shares: Source -> share of a teacher's batch.
        student_shares: Source -> share of a student's batch.
        label_weights: Source -> weight of labels next to answers.
        smoothing: Source -> label smoothing.
        mixup: Share of faces that are blended.
        checkpoints: Whether to write the state, so that a run can be resumed.
        max_faces: Read no more faces of each source than this, for trials; 0: all.
        every_s: Seconds between two evaluations and writings.
        seed: Of everything.
    """

    faces: str = "runs/faces"
    out: str = "runs/expression"
    seconds: float = 560.0
    phases: dict[str, Phase] = field(default_factory=dict)
    answers_share: float = 0.06
    bundled: str = "src/mien/assets/mienet_s.ferplus8/model.safetensors"
    imagenet: str = "runs/lite2_int8.safetensors"
    class_power: float = 0.7
    teacher_shares: dict[str, float] = field(default_factory=lambda: dict(TEACHER_SHARES))
    student_shares: dict[str, float] = field(default_factory=lambda: dict(STUDENT_SHARES))
    label_weights: dict[str, float] = field(default_factory=dict)
    smoothing: dict[str, float] = field(default_factory=lambda: {"affect": 0.08})
    mixup: float = 0.4
    checkpoints: bool = True
    max_faces: int = 0
    every_s: float = 30.0
    seed: int = 0


def _build(kind: type[Any], values: dict[str, Any], where: str) -> Any:
    known = {item.name for item in fields(kind)}
    for key in values:
        if key not in known:
            raise ValueError(f"{where}: unknown key {key!r}; known are {', '.join(sorted(known))}.")
    return kind(**values)


def load_recipe(path: Path, **changes: Any) -> Recipe:
    """Reads a recipe; ``changes`` replace its values.

    Raises:
        ValueError: If a key is unknown.
    """
    values = {**(yaml.safe_load(path.read_text()) or {}), **changes}
    phases = {
        name: _build(Phase, phase, f"{path}: phase {name}")
        for name, phase in values.pop("phases", {}).items()
    }
    recipe: Recipe = _build(Recipe, {**values, "phases": phases}, str(path))
    return recipe
