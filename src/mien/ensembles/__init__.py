"""Ensembles: several models become one model folder with one ONNX file."""

from mien.ensembles.build import EnsembleResult, MemberScore, ensemble
from mien.ensembles.mixing import METHODS, Mixture, fit_mixture

__all__ = ["METHODS", "EnsembleResult", "MemberScore", "Mixture", "ensemble", "fit_mixture"]
