"""Losses against target distributions, and what makes up for rare classes.

All take logits (N, K) and targets (N, K) whose rows sum to 1; a label is a row with a single 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from mien.config import load_object
from mien.errors import ConfigError, suggest
from mien.labels import LabelSchema, find_label
from mien.training.config import parse_class_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from mien.training.config import TrainConfig

__all__ = ["ExpressionLoss", "class_counts", "class_weights", "face_weights", "weights_by_hand"]


def class_counts(targets: Tensor) -> Tensor:
    """Returns how many faces each class has, (K,); a distribution counts by its shares.

    >>> class_counts(torch.tensor([[1.0, 0.0], [0.5, 0.5]])).tolist()
    [1.5, 0.5]
    """
    return targets.double().sum(dim=0)


def class_weights(counts: Tensor, kind: str, *, beta: float = 0.999) -> Tensor:
    """Returns the weight of each class, so that the mean over the training faces is 1.

    Args:
        counts: (K,), see :func:`class_counts`.
        kind: ``"inverse"``: one over the counts. ``"effective"``: one over the effective number
            ``(1 - beta^counts) / (1 - beta)`` of Cui et al. 2019, https://arxiv.org/abs/1901.05555.
        beta: Of ``"effective"``; 0 weighs all classes alike, near 1 is ``"inverse"``.

    Returns:
        float32 (K,); 0 for a class without faces.

    >>> class_weights(torch.tensor([30.0, 10.0]), "inverse").tolist()
    [0.6666666865348816, 2.0]
    """
    counts = counts.double()
    number = counts if kind == "inverse" else (1 - beta**counts) / (1 - beta)
    weights = torch.where(counts > 0, 1 / number.clamp(min=1e-12), 0.0)
    return (weights * counts.sum() / (weights * counts).sum()).float()


def weights_by_hand(given: Mapping[str, float], schema: LabelSchema, counts: Tensor) -> Tensor:
    """Returns the weight of each class where some are given, scaled as in :func:`class_weights`.

    Args:
        given: Weight by label, in any spelling that :func:`mien.labels.find_label` knows; the
            others have 1.
        schema: The K labels of the data.
        counts: (K,), see :func:`class_counts`.

    Raises:
        ConfigError: If no class has one of the names, two name the same class, or all faces would
            weigh nothing.

    >>> counts = torch.tensor([10.0, 30.0])
    >>> weights_by_hand({"sad": 3.0}, LabelSchema("two", ("happy", "sad")), counts).tolist()
    [0.4000000059604645, 1.2000000476837158]
    """
    found: dict[int, float] = {}
    for label, weight in given.items():
        class_id = find_label(label, schema)
        if class_id is None:
            reason = f"{label!r} is no label of the data.{suggest(label, schema.labels)}"
            raise ConfigError(reason, subject="class_weight")
        if class_id in found:
            raise ConfigError(f"{label!r} is named twice", subject="class_weight")
        found[class_id] = weight
    weights = torch.tensor([found.get(i, 1.0) for i in range(len(schema))], dtype=torch.float64)
    total = (weights * counts.double()).sum()
    if not total:
        raise ConfigError("gives no face of the data a weight above 0", subject="class_weight")
    return (weights * counts.double().sum() / total).float()


def face_weights(targets: Tensor) -> Tensor:
    """Returns how often each face is drawn so that all classes come equally often.

    Args:
        targets: (N, K).

    Returns:
        float64 (N,), summing to 1.

    >>> face_weights(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])).tolist()
    [0.25, 0.25, 0.5]
    """
    weights = targets.double() @ class_weights(class_counts(targets), "inverse").double()
    return weights / weights.sum()


class ExpressionLoss(nn.Module):
    """The loss of a recipe.

    Per face, with class weights w (1 unless asked for), targets t and probabilities p:

    - ``cross_entropy`` and ``class_balanced``: ``-sum w t log p``; the latter always weighs by
      the effective number.
    - ``focal`` (Lin et al. 2017, https://arxiv.org/abs/1708.02002):
      ``-sum w t (1 - p)^gamma log p``.
    - ``kl``: ``sum w t (log t - log p)``.

    The mean over the faces is returned. Logit adjustment (Menon et al. 2021,
    https://arxiv.org/abs/2007.07314) adds ``tau log share`` to each class's logit first; it is
    left out where faces are read, which is what lifts the rare classes.

    Args:
        config: The recipe.
        counts: float (K,), faces of each class in training, or (S, K) of each of S datasets, whose
            logits are adjusted by their own shares; None where nothing asks for it.
        schema: The K labels, for weights by hand.

    Raises:
        ConfigError: If a loss of the user's own cannot be had.
    """

    weight: Tensor | None
    shift: Tensor | None

    def __init__(
        self, config: TrainConfig, counts: Tensor | None = None, schema: LabelSchema | None = None
    ) -> None:
        super().__init__()
        self.name, self.gamma = config.loss, config.focal_gamma
        self._own: Callable[..., Any] | None = None
        if ":" in config.loss:
            self._own = load_object(config.loss, "loss")
            if isinstance(self._own, type):
                self._own = self._own()
        kind = "effective" if config.loss == "class_balanced" else config.class_weight
        weight = shift = None
        if counts is not None and (given := parse_class_weights(kind)):
            if schema is None:
                raise ConfigError("by hand needs the schema of the labels", subject="class_weight")
            weight = weights_by_hand(given, schema, counts)
        elif counts is not None and kind != "none":
            weight = class_weights(counts, kind, beta=config.class_weight_beta)
        if counts is not None and config.logit_adjustment:
            # A class without faces counts as if it had one: the logarithm stays finite.
            counts = counts.double()
            share = counts.clamp(min=1.0) / counts.sum(dim=-1, keepdim=True).clamp(min=1.0)
            shift = (config.logit_adjustment * share.log()).float()
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("shift", shift, persistent=False)

    @property
    def by_source(self) -> bool:
        """Whether each dataset's logits are adjusted by its own shares."""
        return self.shift is not None and self.shift.ndim == 2

    def forward(self, logits: Tensor, targets: Tensor, sources: Tensor | None = None) -> Tensor:
        """Maps logits and targets (N, K) to the mean loss, a number.

        ``sources`` (N, S) are shares of the datasets in each face, which are mixed as targets are.
        """
        if self.shift is not None:
            logits = logits + (self.shift if sources is None else sources @ self.shift)
        if self._own is not None:
            loss = self._own(logits, targets)
            if not isinstance(loss, torch.Tensor) or loss.ndim > 1:
                is_tensor = isinstance(loss, torch.Tensor)
                raise ConfigError(
                    f"loss {self.name!r} must return a number or one a face, (N,), as a tensor; "
                    f"got {tuple(loss.shape) if is_tensor else type(loss).__name__}."
                )
            return loss.mean()
        if self.name in ("cross_entropy", "class_balanced"):
            return functional.cross_entropy(logits, targets, weight=self.weight)
        log_probs = logits.log_softmax(dim=1)
        if self.name == "focal":
            terms = -targets * (1 - log_probs.exp()).clamp(min=0) ** self.gamma * log_probs
        else:
            terms = functional.kl_div(log_probs, targets, reduction="none")
        if self.weight is not None:
            terms = terms * self.weight
        return terms.sum(dim=1).mean()
