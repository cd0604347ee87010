"""Makes up for an operation that tf2onnx does not know."""

import numpy as np


def teach_tf2onnx() -> None:
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
