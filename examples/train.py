"""Train a model on a folder of faces, one subfolder per label (extra ``train``)."""

import mien

run = mien.train("folder:faces", model="mienet_s", epochs=2, output="runs/mine")
print(run.metrics["accuracy"], run.metrics["accuracy_ci"])
print(run.recognizer().predict("photo.jpg"))
