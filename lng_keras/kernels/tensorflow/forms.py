"""Which form of the arithmetic runs where on TensorFlow.

| place | input | form |
|---|---|---|
| GPU or TPU, under XLA | statistics over all of space, channels last | `two_pass` |
| GPU or TPU, under XLA | else | `fused` |
| else | statistics over all of space, channels last | `summed` |
| else | any | `reference` |

On a CPU without XLA the last two are compiled by themselves, where `cluster.pays`.
"""

import functools

import tensorflow as tf

from lng_keras._base.private.tensorflow import is_in_xla
from lng_keras.kernels import fused, reference, summed, two_pass
from lng_keras.kernels.contract import Form
from lng_keras.kernels.spec import Spec, Tensor
from lng_keras.kernels.tensorflow import cluster


def choose(x: Tensor, spec: Spec, kernel: str) -> Form:
    """Returns the form for one operation; the table above, in code.

    Args:
        kernel: "auto", or "compiled", for which see `cluster`.
    """
    xla, on_cpu = is_in_xla(), device_type(x) == "CPU"
    if xla and not on_cpu:
        return two_pass if two_pass.supports(x, spec) else fused
    form = summed if summed.supports(x, spec) else reference
    if on_cpu and not xla and cluster.pays(x, spec, asked=kernel == "compiled"):
        return _compiled(form)
    return form


@functools.cache
def _compiled(form):
    return cluster.Compiled(form)


def device_type(x: Tensor) -> str:
    """Of the device on which an operation on `x` runs here: "CPU", "GPU" or "TPU".

    A graph says where an operation is placed if the program said so. TensorFlow puts
    the others on an accelerator if it has one.
    """
    placed = tf.DeviceSpec.from_string(tf.identity(x).device).device_type
    if placed is not None:
        return placed.replace("XLA_", "")
    there = {device.device_type for device in tf.config.list_logical_devices()}
    return next((kind for kind in ("TPU", "GPU") if kind in there), "CPU")
