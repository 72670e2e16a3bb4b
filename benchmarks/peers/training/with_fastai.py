"""fastai: its own export is a pickle, so that the ONNX file is PyTorch's."""

import matplotlib.pyplot as plt
import torch
from fastai.vision.all import (
    ClassificationInterpretation,
    ImageDataLoaders,
    Resize,
    accuracy,
    aug_transforms,
    resnet18,
    vision_learner,
)

augmentation = aug_transforms()
faces = ImageDataLoaders.from_folder("faces", item_tfms=Resize(64), batch_tfms=augmentation, bs=64)
learner = vision_learner(faces, resnet18, pretrained=False, metrics=accuracy)
learner.fit_one_cycle(4)
# trained
learner.recorder.plot_loss()
plt.savefig("curves.png")
found = ClassificationInterpretation.from_learner(learner)
found.print_classification_report()
found.plot_confusion_matrix()
plt.savefig("confusion.png")
torch.onnx.export(learner.model.eval(), torch.zeros(1, 3, 64, 64), "model.onnx")
