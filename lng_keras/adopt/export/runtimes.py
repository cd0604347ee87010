"""Runs an exported file in the runtime of its format, as production would."""

import numpy as np


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


# Format -> function of a path and inputs to outputs.
RUN = {
    "saved_model": _run_saved_model,
    "onnx": _run_onnx,
    "litert": _run_litert,
    "openvino": _run_openvino,
}
