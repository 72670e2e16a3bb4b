"""Evaluation: a model and labelled faces go in, numbers with intervals come out."""

from mien.evaluation.findings import (
    Comparison,
    biggest_confusions,
    compare,
    pick_faces,
    rater_agreement,
)
from mien.evaluation.scores import Evaluation, evaluate, evaluate_logits, record_evaluation

__all__ = [
    "Comparison",
    "Evaluation",
    "biggest_confusions",
    "compare",
    "evaluate",
    "evaluate_logits",
    "pick_faces",
    "rater_agreement",
    "record_evaluation",
]
