"""Imports every module of the base install and makes sure that no heavy library came along."""

import importlib
import importlib.util
import pkgutil
import sys

import mien

HEAVY = (
    "cv2", "torch", "torchvision", "timm", "lightning", "pyarrow", "sklearn", "matplotlib",
    "pandas",
)  # fmt: skip
EXTRAS = ("training", "models", "exporting", "serve", "demo", "video", "jobs", "__main__")

for name in HEAVY:
    if importlib.util.find_spec(name) is not None:
        sys.exit(f"{name} is installed: this is not the base install")
NEED_TORCH = (
    "mien.backends.torch", "mien.explanation.layers", "mien.explanation.gradients",
    "mien.hub.timm_layout",
)  # fmt: skip
names = [
    module.name
    for module in pkgutil.walk_packages(mien.__path__, "mien.")
    if module.name.split(".")[1] not in EXTRAS and module.name not in NEED_TORCH
]
for name in names:
    importlib.import_module(name)
for name in mien.__all__:
    getattr(mien, name)
try:
    importlib.import_module("mien.backends.torch").load_network(None)
except mien.MissingExtraError as error:
    assert 'pip install "mien[train]"' in str(error), error
else:
    sys.exit("the torch backend did not ask for its extra")
print(f"{len(names)} modules of the base install import without any extra")
