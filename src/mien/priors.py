"""How common each expression is taken to be, and how to take it otherwise.

A network's probabilities hold the shares of the labels among the faces that it learned from, its
prior. Where the shares are others, Bayes' rule says what the probabilities become: each is
multiplied by the new share over the old one, and the row is divided by its sum. That is exact where
only the shares differ and a face of a label looks as before; it repairs nothing where the faces are
of another kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.config import Saved
from mien.errors import ConfigError, DataError, MienError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.arrays import F64, Floats
    from mien.labels import LabelSchema

__all__ = ["MIN_FACES", "ClassPrior", "estimate_shares", "label_shares", "parse_prior", "reweigh"]

#: Faces below which shares are not estimated from answers alone.
MIN_FACES = 100
#: Smallest share: a label that never occurred may still occur.
FLOOR = 1e-4
_NAMES = ("natural", "balanced")


@dataclass(frozen=True)
class ClassPrior(Saved):
    """The prior inside a model's probabilities; stored in its ``config.json``.

    Args:
        shares: Of each label among the faces that the model learned from; they sum to 1.
        strength: The probabilities hold the shares to this power, 1 where nothing was changed.
        smoothing: Before that, this part of the shares is divided evenly among the labels
            (0..1, Jelinek-Mercer smoothing with a uniform distribution).
        own: Shares to answer for, set by ``mien calibrate --prior``; None: those inside.

    Raises:
        ConfigError: If a number is out of range.

    >>> prior = ClassPrior(shares=(0.8, 0.2), strength=0.5)
    >>> prior.held.round(3).tolist()
    [0.667, 0.333]
    >>> ClassPrior(shares=(0.8, 0.2), smoothing=0.5).held.round(3).tolist()
    [0.65, 0.35]
    """

    _what = "prior"

    shares: tuple[float, ...]
    strength: float = 1.0
    own: tuple[float, ...] | None = None
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        for name in ("shares", "own"):
            values = getattr(self, name)
            if values is None and name == "own":
                continue
            object.__setattr__(self, name, tuple(float(value) for value in values))
            numbers = getattr(self, name)
            if not (
                all(0 < v < 1 for v in numbers) and math.isclose(sum(numbers), 1, abs_tol=1e-3)
            ):
                raise ConfigError(
                    f"prior: {name} must lie between 0 and 1 and sum to 1; got {self}."
                )
        if not 0 <= self.strength <= 2:
            raise ConfigError(f"prior: strength must lie in 0..2; got {self}.")
        if not 0 <= self.smoothing <= 1:
            raise ConfigError(f"prior: smoothing must lie in 0..1; got {self}.")

    @property
    def held(self) -> F64:
        """Shares (K,) inside the probabilities."""
        shares = np.array(self.shares)
        smoothed = (1 - self.smoothing) * shares + self.smoothing / len(shares)
        return _scaled(smoothed**self.strength)

    @property
    def answered(self) -> F64:
        """Shares (K,) that are answered for: :attr:`own`, else those inside."""
        return self.held if self.own is None else np.array(self.own)

    def log_ratio(self, target: Sequence[float] | F64 | None = None) -> F64 | None:
        """Returns (K,), what is added to log-probabilities to answer for other shares.

        Args:
            target: (K,), the shares; None: :attr:`own`, and where that is None nothing changes.
        """
        shares = self.own if target is None else target
        return None if shares is None else np.log(np.array(shares) / self.held)

    def target(
        self, prior: str | Mapping[str, float] | None, schema: LabelSchema
    ) -> tuple[float, ...] | None:
        """Returns the shares (K,) that a prior stands for; None: those inside, nothing to change.

        Args:
            prior: ``"natural"`` (as among the faces learned from), ``"balanced"`` (all alike), or
                shares by label: labels that are not named divide the rest as they do among the
                faces learned from. None: :attr:`own`.
            schema: The model's labels.

        Raises:
            ConfigError: If a name or label is unknown, or a share impossible.
        """
        if prior is None:
            return self.own
        if isinstance(prior, Mapping):
            return _shares_of(prior, schema, np.array(self.shares))
        if prior not in _NAMES:
            raise _refused(f"{prior!r} is unknown")
        return self.shares if prior == "natural" else (1 / len(schema),) * len(schema)


def _refused(reason: str) -> ConfigError:
    return ConfigError(
        reason, subject="prior", hint="Give natural, balanced, or shares: happiness=0.4,fear=0.05."
    )


def _scaled(values: F64) -> F64:
    scaled: F64 = values / values.sum()
    return scaled


def _shares_of(given: Mapping[str, float], schema: LabelSchema, natural: F64) -> tuple[float, ...]:
    shares = np.full(len(schema), np.nan)
    for label, value in given.items():
        try:
            position = schema.index(label)
        except MienError as error:
            raise _refused(str(error).rstrip(".")) from error
        if not isinstance(value, (int, float)) or not 0 < value < 1:
            raise _refused(f"the share of {label!r} must lie between 0 and 1; got {value!r}")
        if not np.isnan(shares[position]):
            raise _refused(f"{label!r} is named twice")
        shares[position] = value
    left, rest = np.isnan(shares), 1 - np.nansum(shares)
    if (left.any() and rest <= 0) or (not left.any() and abs(rest) > 0.01) or left.all():
        raise _refused(f"shares must sum to 1, labels that are not named included; got {given}")
    shares[left] = rest * natural[left] / natural[left].sum()
    return tuple(_scaled(shares).tolist())


def parse_prior(words: str | None) -> str | dict[str, float] | None:
    """Reads a prior from a command line or an address: a name, or ``LABEL=SHARE,LABEL=SHARE``.

    Raises:
        ConfigError: If it is neither.

    >>> parse_prior("balanced"), parse_prior("fear=0.1, anger=1/5")
    ('balanced', {'fear': 0.1, 'anger': 0.2})
    """
    if words is None or words in _NAMES:
        return words
    shares: dict[str, float] = {}
    for part in words.split(","):
        label, equals, value = part.partition("=")
        top, _, bottom = value.partition("/")
        try:
            number = float(top) / float(bottom or 1)
        except (ValueError, ZeroDivisionError):
            equals = ""
        if not equals or not label.strip() or label.strip() in shares:
            raise _refused(f"{words[:80]!r} cannot be read")
        shares[label.strip()] = number
    return shares


def reweigh(probs: F64, held: F64, target: F64) -> F64:
    """Puts other shares into probabilities.

    Args:
        probs: (N, K), rows sum to 1.
        held: (K,), the shares inside.
        target: (K,), the shares to answer for.

    >>> reweigh(np.array([[0.8, 0.2]]), np.array([0.8, 0.2]), np.array([0.5, 0.5])).tolist()
    [[0.5, 0.5]]
    """
    weighted = probs * (np.asarray(target) / np.asarray(held))
    result: F64 = weighted / weighted.sum(axis=1, keepdims=True)
    return result


def label_shares(targets: Floats) -> tuple[float, ...]:
    """Returns the shares of the labels among faces, none below 0.0001.

    Args:
        targets: (N, K), rows sum to 1: shares of votes, or 1 for the label.
    """
    shares = np.maximum(np.asarray(targets, np.float64).mean(axis=0), FLOOR)
    return tuple(round(float(value), 6) for value in _scaled(shares))


def estimate_shares(probs: F64, held: F64, *, rounds: int = 1000) -> tuple[float, ...]:
    """Estimates the shares of labels among faces without labels, from a model's answers alone.

    Expectation maximisation after Saerens, Latinne and Decaestecker (2002,
    https://doi.org/10.1162/089976602753284446): the faces' probabilities under the shares so far,
    and the shares as their mean, in turn, until nothing changes. The likelihood rises each time.

    It needs calibrated probabilities and faces of the kind that they were calibrated on, of which
    only the shares differ. On faces of another kind it takes errors for shares.

    Args:
        probs: (N, K), calibrated.
        held: (K,), the shares inside them.
        rounds: At most so many turns.

    Raises:
        DataError: If there are fewer than :data:`MIN_FACES` faces.
    """
    if len(probs) < MIN_FACES:
        raise DataError(
            f"{len(probs)} face(s) are too few to estimate how common each label is",
            hint=f"Give photos with at least {MIN_FACES} faces, or say the shares: "
            "--prior happiness=0.4,fear=0.05.",
        )
    shares = np.asarray(held, np.float64)
    for _ in range(rounds):
        before = shares
        shares = _scaled(np.maximum(reweigh(probs, held, before).mean(axis=0), FLOOR))
        if np.abs(shares - before).max() < 1e-6:
            break
    return tuple(round(float(value), 6) for value in shares)
