"""Probabilities in words: the same in pictures, tables and pages."""

from __future__ import annotations


def percent(share: float, digits: int = 0) -> str:
    """Returns a probability as people read it; none is written as certain.

    >>> percent(0.934), percent(0.004), percent(0.9951, 1)
    ('93%', 'under 1%', 'over 99%')
    """
    if share >= 0.995:
        return "over 99%"
    return "under 1%" if 0 < share < 0.01 else f"{share:.{digits}%}"
