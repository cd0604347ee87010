"""What is needed of TensorFlow beyond what it documents."""

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

from lng_keras._base.private.names import Name, NameGone

_VERSIONS = dict(package="tensorflow", checked="2.21")
# No private name, but that Keras' normalizations call it is known from these alone.
MOMENTS = Name("moments", "for second derivatives", **_VERSIONS)
FREEZE = Name("convert_variables_to_constants_v2", "to count FLOPs", **_VERSIONS)
_FREEZING = "tensorflow.python.framework.convert_to_constants"
IN_XLA = Name("GraphOrParentsInXlaContext", "to see what XLA compiles", **_VERSIONS)
_CONTEXTS = "tensorflow.python.ops.control_flow_util"


@contextlib.contextmanager
def exact_moments() -> Iterator[None]:
    """Replaces `tf.nn.moments`, which Keras' normalizations use, while it is traced.

    TensorFlow's own stops the gradient of the mean in mean((x - mean)^2): harmless to
    first order, where that gradient is 0, and wrong to second.
    """
    import tensorflow as tf

    def moments(x, axes, shift=None, keepdims=False, name=None):
        mean = tf.reduce_mean(x, axes, keepdims=True)
        variance = tf.reduce_mean(tf.square(x - mean), axes, keepdims=keepdims)
        return (mean if keepdims else tf.squeeze(mean, axes)), variance

    original = MOMENTS.of(tf.nn)
    MOMENTS.replace(tf.nn, moments)
    try:
        yield
    finally:
        MOMENTS.replace(tf.nn, original)


def frozen(function: Any) -> Any:
    """Returns the graph of a concrete function with its weights as constants."""
    import tensorflow

    try:
        module = importlib.import_module(_FREEZING)
    except ImportError as error:
        raise FREEZE.gone(tensorflow) from error
    return FREEZE.of(module)(function).graph


def is_in_xla() -> bool:
    """Whether what is traced now is compiled whole, as `jit_compile=True` asks for.

    No, where TensorFlow does not tell: every form is right with XLA and without.
    """
    import tensorflow as tf

    try:
        tells = IN_XLA.of(importlib.import_module(_CONTEXTS))
    except (ImportError, NameGone):
        return False
    return not tf.executing_eagerly() and tells(tf.compat.v1.get_default_graph())
