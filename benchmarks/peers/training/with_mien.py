"""mien: what it draws, scores and exports lies in the run directory when the training is done."""

import mien

run = mien.train(
    "folder:faces", model="resnet18", model_args="layout=paper", size=64, batch_size=64, epochs=4
)
# trained
print(run.summary())
