"""The formats of exported models, and which of them can be written here."""

import importlib.util

import keras

from lng_keras._base.errors import UsageError
from lng_keras._base.extras import install
from lng_keras.adopt.defaults import FORMATS as FORMATS

# Largest difference from Keras' outputs that is accepted, absolute and relative to
# the largest output, all in float32. OpenVINO is asked for it: left to itself it runs
# in bfloat16 where the CPU has it, and weights are stored in float16.
TOLERANCES = {"saved_model": 1e-4, "onnx": 1e-4, "litert": 1e-4, "openvino": 5e-3}
# Whose runtimes compute grouped normalization fastest in the form of that name.
POOLED = ("onnx", "openvino")
KERAS_NAMES = {"saved_model": "tf_saved_model"}
# What each export needs beside the backend, and what checks it.
PACKAGES: dict[str, dict[str, list[str]]] = {
    "saved_model": {"jax": ["tensorflow"]},
    "onnx": {
        "tensorflow": ["tf2onnx", "onnxruntime"],
        "torch": ["onnx", "onnxscript", "onnxruntime"],
    },
    "litert": {"tensorflow": ["ai_edge_litert"]},
    "openvino": {"tensorflow": ["openvino"], "torch": ["openvino"]},
}
# (format, backend) -> why not, as measured with Keras 3.15.
REFUSED = {
    ("saved_model", "torch"): "Keras' SavedModel export fails on torch",
    ("onnx", "jax"): "ONNX export from JAX is not supported here",
    ("litert", "jax"): "LiteRT export needs TensorFlow",
    ("litert", "torch"): "LiteRT export is supported from TensorFlow only",
    ("openvino", "jax"): "Keras' OpenVINO export fails on JAX",
}


def check(format: str) -> None:
    """Refuses a format that this backend or installation cannot write.

    Raises:
        UsageError: saying what can.
    """
    backend = keras.config.backend()
    if format not in FORMATS:
        raise UsageError(f"Unknown format {format!r}. Known: {', '.join(FORMATS)}.")
    if (format, backend) in REFUSED:
        able = [b for b in ("tensorflow", "jax", "torch") if (format, b) not in REFUSED]
        raise UsageError(
            f"{REFUSED[format, backend]}. Load the model with KERAS_BACKEND="
            f"{' or '.join(able)} and export it there."
        )
    for package in PACKAGES[format].get(backend, ()):
        if importlib.util.find_spec(package) is None:
            raise UsageError(f"Export to {format} needs {package}: {install('export')}")
