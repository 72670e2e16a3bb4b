"""Score a model on labelled faces, with 95 % intervals (extra ``eval``)."""

import mien

evaluation = mien.evaluate("runs/train", "folder:faces", split="valid")
scores = evaluation.scores()
print(scores["accuracy"], scores["accuracy_ci"], scores["macro_f1"])
