"""Writes a model as a file of another format and compares the two."""

import contextlib
import io
import os
import tempfile
from typing import Any

import keras
import numpy as np

from lng_keras._base.errors import UsageError
from lng_keras.adopt import early
from lng_keras.adopt.cost import example_of
from lng_keras.adopt.export import erfc, precision, traced
from lng_keras.adopt.export.formats import KERAS_NAMES, POOLED, TOLERANCES, check
from lng_keras.adopt.export.runtimes import RUN
from lng_keras.kernels import choice


def export(
    model: keras.Model,
    path: str | os.PathLike[str],
    format: str,
    inputs: np.ndarray | None = None,
    batch_size: int = 3,
    half: bool = False,
) -> dict[str, Any]:
    """Exports a built model and compares the file's outputs with the model's.

    Args:
        model: built `keras.Model` of one input, such as a swapped, trained one.
        path: str or path, where to write; its suffix is added if it is missing.
        format: "saved_model", "onnx", "litert" or "openvino".
        inputs: array `(1, ...)`, one example; None: made up.
        batch_size: int, examples in the comparison: not 1, so that a batch that was
            fixed by mistake is seen. LiteRT is compared one by one.
        half: bool, write a model that computes in float16 or bfloat16, as those
            trained in mixed precision do, as it is. Default: in float32, from the same
            weights. Not every runtime takes half precision, and of the largest output
            1e-2 (float16) or 8e-2 (bfloat16) is accepted as difference.

    Returns:
        dict: `path`, `format`, `difference` (largest absolute), `tolerance`, `bytes`.

    Raises:
        UsageError: if this backend cannot, a package is missing, the model has more
            than one input or one of unknown size and no `inputs` are given, or the
            outputs differ by more than the tolerance. Nothing is left at `path` then.
    """
    backend = keras.config.backend()
    check(format)
    path = early.target(path, format)
    folder = os.path.dirname(os.path.abspath(path))
    x = _examples(model, inputs, batch_size)
    computes_in = precision.half_of(model)
    if half and not computes_in:
        raise UsageError(
            f"half=True has no effect on {model.name!r}, which computes in float32; "
            "leave it out"
        )
    if computes_in and not half:
        model, computes_in = precision.in_float32(model), None
    wanted = precision.as_numpy(model(x))
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as scratch:
        written = os.path.join(scratch, os.path.basename(path))
        try:
            _write(model, written, format, backend)
        except Exception as error:
            raise UsageError(
                f"Export to {format} from {backend} failed: {str(error)[:200]}"
            ) from error
        try:
            got = RUN[format](written, x)
        except Exception as error:  # a file that its own runtime does not take
            raise UsageError(
                f"The exported {format} model does not run: {str(error)[:200]}"
            ) from error
        difference = float(np.max(np.abs(precision.as_numpy(got) - wanted)))
        relative = max(
            TOLERANCES[format], precision.TOLERANCES.get(computes_in or "", 0.0)
        )
        tolerance = relative * max(1.0, float(np.max(np.abs(wanted))))
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


def _write(model, path, format, backend):
    """Writes the file; what exporters print of a failure is part of the error."""
    if format == "onnx" and backend == "tensorflow":
        erfc.teach_tf2onnx()
    traces = format == "onnx" and backend == "torch"
    how = traced.norms_that_export() if traces else contextlib.nullcontext()
    form = choice.use("pooled" if format in POOLED else "auto")
    with how, form, contextlib.redirect_stdout(io.StringIO()):
        model.export(path, format=KERAS_NAMES.get(format, format), verbose=False)


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


def _bytes(folder):
    files = [os.path.join(d, f) for d, _, names in os.walk(folder) for f in names]
    return sum(os.path.getsize(file) for file in files)
