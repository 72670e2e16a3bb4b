"""One face, one file, no mien: only onnxruntime, Pillow and numpy.

Make the file first: ``mien export mienet_s.ferplus8 --embed-preprocessing -o small``.
Usage: ``python examples/onnx_only/read_face.py small/model.embedded.onnx FACE``
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
about = session.get_modelmeta().custom_metadata_map
size, mode = int(about["size"]), {"gray": "L", "rgb": "RGB"}[about["color"]]
face = Image.open(sys.argv[2]).convert("RGB").convert(mode).resize((size, size), Image.BILINEAR)
pixels = np.asarray(face, np.uint8).reshape(1, size, size, -1)
probs = session.run(["probs"], {"faces": pixels})[0][0]
ranked = sorted(zip(json.loads(about["labels"]), probs, strict=True), key=lambda pair: -pair[1])
for label, share in ranked:
    print(f"{label:<10} {share:.3f}")
