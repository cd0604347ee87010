"""Exports a model for production, and checks that the file computes the same."""

import importlib.util
import os
import tempfile

import keras
import numpy as np

from lng_keras._base.errors import UsageError
from lng_keras.adopt.cost import example_of

# Largest difference from Keras' outputs that is accepted, absolute and relative to
# the largest output, all in float32. OpenVINO is asked for it: left to itself it runs
# in bfloat16 where the CPU has it, and weights are stored in float16.
TOLERANCES = {"saved_model": 1e-4, "onnx": 1e-4, "litert": 1e-4, "openvino": 5e-3}
FORMATS = tuple(TOLERANCES)
_KERAS_NAMES = {"saved_model": "tf_saved_model"}
_SUFFIX = {"saved_model": "", "onnx": ".onnx", "litert": ".tflite", "openvino": ".xml"}
# What each export needs beside the backend, and what checks it.
_PACKAGES = {
    "saved_model": {"jax": ["tensorflow"]},
    "onnx": {
        "tensorflow": ["tf2onnx", "onnxruntime"],
        "torch": ["onnx", "onnxscript", "onnxruntime"],
    },
    "litert": {"tensorflow": ["ai_edge_litert"]},
    "openvino": {"tensorflow": ["openvino"], "torch": ["openvino"]},
}
# (format, backend) -> why not, as measured with Keras 3.15.
_REFUSED = {
    ("saved_model", "torch"): "Keras' SavedModel export fails on torch",
    ("onnx", "jax"): "ONNX export from JAX is not supported here",
    ("litert", "jax"): "LiteRT export needs TensorFlow",
    ("litert", "torch"): "LiteRT export is supported from TensorFlow only",
    ("openvino", "jax"): "Keras' OpenVINO export fails on JAX",
}


def export(model, path, format, inputs=None, batch_size=3):
    """Exports a built model and compares the file's outputs with the model's.

    Args:
        model: built `keras.Model` of one input, such as a swapped, trained one.
        path: str or path, where to write; its suffix is added if it is missing.
        format: "saved_model", "onnx", "litert" or "openvino".
        inputs: array `(1, ...)`, one example; None: made up.
        batch_size: int, examples in the comparison: not 1, so that a batch that was
            fixed by mistake is seen. LiteRT is compared one by one.

    Returns:
        dict: `path`, `format`, `difference` (largest absolute), `tolerance`, `bytes`.

    Raises:
        UsageError: if this backend cannot, a package is missing, the model has more
            than one input or one of unknown size and no `inputs` are given, or the
            outputs differ by more than the tolerance. Nothing is left at `path` then.
    """
    backend = keras.config.backend()
    check(format)
    suffix = _SUFFIX[format]
    path = os.path.normpath(os.fspath(path))  # "out/" has no last part to name it by
    path = path if path.endswith(suffix) else path + suffix
    if os.path.exists(path):
        raise UsageError(f"{path} exists already; remove it or name another.")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise UsageError(f"No such folder: {folder}")
    x = _examples(model, inputs, batch_size)
    wanted = keras.ops.convert_to_numpy(model(x))
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as scratch:
        written = os.path.join(scratch, os.path.basename(path))
        if (format, backend) == ("onnx", "tensorflow"):
            _teach_tf2onnx_erfc()
        try:
            model.export(
                written, format=_KERAS_NAMES.get(format, format), verbose=False
            )
        except Exception as error:
            raise UsageError(
                f"Export to {format} from {backend} failed: {str(error)[:200]}"
            ) from error
        try:
            got = _RUN[format](written, x)
        except Exception as error:  # a file that its own runtime does not take
            raise UsageError(
                f"The exported {format} model does not run: {str(error)[:200]}"
            ) from error
        difference = float(np.max(np.abs(got - wanted)))
        tolerance = TOLERANCES[format] * max(1.0, float(np.max(np.abs(wanted))))
        if not difference <= tolerance:
            raise UsageError(
                f"The exported {format} model differs by {difference:.2g} from Keras, "
                f"more than {tolerance:.2g}."
            )
        size = _bytes(scratch)
        for name in sorted(os.listdir(scratch), reverse=True):
            # OpenVINO's weights lie beside its .xml and have its name.
            os.replace(os.path.join(scratch, name), os.path.join(folder, name))
    return {
        "path": path,
        "format": format,
        "difference": difference,
        "tolerance": tolerance,
        "bytes": size,
    }


def _examples(model, inputs, batch_size):
    """Examples `(batch_size, ...)` for a model's one input; floats differ by row."""
    tensors = getattr(model, "inputs", None) or []  # none known of a subclassed model
    if len(tensors) > 1:
        raise UsageError(
            f"Export is for a model of one input. {model.name!r} has {len(tensors)}; "
            "use `model.export` and compare by hand."
        )
    if inputs is None:
        try:
            # Flat: a model made of a list of one input takes a list.
            inputs = keras.tree.flatten(example_of(model))[0]
        except ValueError as error:
            raise UsageError(error) from error
    x = np.repeat(np.asarray(inputs), batch_size, axis=0)
    if tensors:
        x = x.astype(tensors[0].dtype)
    elif keras.backend.is_float_dtype(x.dtype):
        x = x.astype(keras.config.floatx())
    if not keras.backend.is_float_dtype(x.dtype):
        return x  # may be indices: another number could be out of range
    offsets = np.arange(batch_size).reshape(-1, *[1] * (x.ndim - 1)) / 8
    return x + offsets.astype(x.dtype)


def check(format):
    """Refuses a format that this backend or installation cannot write.

    Raises:
        UsageError: saying what can.
    """
    backend = keras.config.backend()
    if format not in FORMATS:
        raise UsageError(f"Unknown format {format!r}. Known: {', '.join(FORMATS)}.")
    if (format, backend) in _REFUSED:
        able = [
            b for b in ("tensorflow", "jax", "torch") if (format, b) not in _REFUSED
        ]
        raise UsageError(
            f"{_REFUSED[format, backend]}. Load the model with KERAS_BACKEND="
            f"{' or '.join(able)} and export it there."
        )
    for package in _PACKAGES[format].get(backend, ()):
        if importlib.util.find_spec(package) is None:
            raise UsageError(
                f"Export to {format} needs {package}: pip install 'lng-keras[export]'"
            )


def _teach_tf2onnx_erfc():
    """Lets tf2onnx 1.17 convert Erfc, which TensorFlow's GELU is made of.

    ONNX has Erf only: erfc(x) = 1 - erf(x). Without this the file has an operation
    that no runtime knows.
    """
    from tf2onnx import utils
    from tf2onnx.handler import tf_op

    if any(
        "Erfc" in opset for opsets in tf_op.get_opsets().values() for opset in opsets
    ):
        return

    @tf_op("Erfc")
    class Erfc:
        @classmethod
        def version_9(cls, graph, node, **kwargs):
            shapes, types = node.output_shapes, node.output_dtypes
            dtype = utils.map_onnx_to_numpy_type(types[0])
            graph.remove_node(node.name)
            one = graph.make_const(utils.make_name("one"), np.array(1, dtype))
            erf = graph.make_node("Erf", node.input, shapes=shapes, dtypes=types)
            graph.make_node(
                "Sub",
                [one.output[0], erf.output[0]],
                outputs=node.output,
                name=node.name,
                shapes=shapes,
                dtypes=types,
            )


def _bytes(folder):
    files = [os.path.join(d, f) for d, _, names in os.walk(folder) for f in names]
    return sum(os.path.getsize(file) for file in files)


def _run_saved_model(path, x):
    import tensorflow as tf

    loaded = tf.saved_model.load(path)  # kept: its variables live as long as it
    # The signature takes its input by name, also where the model takes a list of one.
    serve = loaded.signatures["serving_default"]
    (name,) = serve.structured_input_signature[1]
    (output,) = serve(**{name: tf.constant(x)}).values()
    return output.numpy()


def _run_onnx(path, x):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def _run_litert(path, x):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path)
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for i in range(len(x)):
        interpreter.set_tensor(inputs[0]["index"], x[i : i + 1])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(outputs[0]["index"]).copy())
    return np.concatenate(rows)


def _run_openvino(path, x):
    import openvino

    compiled = openvino.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled(x)[0]


_RUN = {
    "saved_model": _run_saved_model,
    "onnx": _run_onnx,
    "litert": _run_litert,
    "openvino": _run_openvino,
}
