"""Ensembles: several models become one model folder with one ONNX file."""

from mien.ensemble.build import EnsembleResult, MemberScore, build_ensemble
from mien.ensemble.mixing import METHODS, Mixture, fit_mixture

__all__ = [
    "METHODS",
    "EnsembleResult",
    "MemberScore",
    "Mixture",
    "build_ensemble",
    "fit_mixture",
]
