"""Draw the curves of a finished run, and an answer with its probabilities."""

import mien
from mien.training import TrainResult

TrainResult.read("runs/train").plot().savefig("curves.png")
mien.predict("photo.jpg").plot().savefig("answer.png")
