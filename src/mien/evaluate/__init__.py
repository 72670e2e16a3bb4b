"""Evaluation: a model and labelled faces go in, numbers with intervals come out."""

from mien.evaluate.report import Evaluation, evaluate, evaluate_logits, record_evaluation

__all__ = ["Evaluation", "evaluate", "evaluate_logits", "record_evaluation"]
