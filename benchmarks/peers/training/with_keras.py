"""Keras 3 on PyTorch: keras.applications begins at ResNet50, so that ResNet18 is written out."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers
from sklearn.metrics import ConfusionMatrixDisplay, classification_report


def load(split):
    return keras.utils.image_dataset_from_directory(
        f"faces/{split}", image_size=(64, 64), batch_size=64, shuffle=split == "train",
        format="grain",
    )  # fmt: skip


def convolve(x, width, kernel=3, stride=1):
    x = layers.Conv2D(width, kernel, stride, padding="same", use_bias=False)(x)
    return layers.BatchNormalization()(x)


def block(x, width, stride):
    y = layers.ReLU()(convolve(x, width, stride=stride))
    x = x if x.shape[-1] == width else convolve(x, width, kernel=1, stride=stride)
    return layers.ReLU()(layers.add([convolve(y, width), x]))


train, valid = load("train"), load("valid")
labels = sorted(os.listdir("faces/train"))  # noqa: PTH208
inputs = keras.Input((64, 64, 3))
x = layers.ReLU()(convolve(layers.Rescaling(1 / 127.5, offset=-1)(inputs), 64, kernel=7, stride=2))
x = layers.MaxPool2D(3, 2, padding="same")(x)
for width, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
    x = block(x, width, stride)
outputs = layers.Dense(len(labels))(layers.GlobalAveragePooling2D()(x))
network = keras.Model(inputs, outputs)
changes = [layers.RandomFlip("horizontal"), layers.RandomRotation(0.04), layers.RandomZoom(0.15)]
model = keras.Sequential([keras.Input((64, 64, 3)), *changes, network])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile("adam", loss, metrics=["accuracy"])
history = model.fit(train, validation_data=valid, epochs=4).history
# trained
for name in history:
    plt.plot(history[name], label=name)
plt.legend()
plt.savefig("curves.png")
truth = np.concatenate([keras.ops.convert_to_numpy(y) for _, y in valid])
answers = model.predict(valid).argmax(axis=1)
print(classification_report(truth, answers, labels=range(len(labels)), target_names=labels))
ConfusionMatrixDisplay.from_predictions(truth, answers, labels=range(len(labels)))
plt.savefig("confusion.png")
network.export("model.onnx", format="onnx")
