"""Ultralytics: `resnet18-cls.yaml` is its own yolo11-cls-resnet18.yaml without the download."""

from ultralytics import YOLO

model = YOLO("resnet18-cls.yaml")
model.train(data="faces", epochs=4, batch=64, imgsz=64)
# trained
print(model.val().top1)
model.export(format="onnx")
