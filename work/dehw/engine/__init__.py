"""What runs the networks. Of this package itself nothing heavy is imported."""

ENGINES = ("auto", "paddle", "openvino", "onnxruntime")
DEVICES = ("auto", "cpu", "gpu")
