"""Write a float16 network, measured against the float32 one, and run it (extra ``export``)."""

import mien

exported = mien.export("runs/train", "onnx-fp16", output="small")
for network in exported.networks:
    print(network.format, network.bytes, network.agreement)
print(mien.predict("photo.jpg", model=exported.path("onnx-fp16")))
