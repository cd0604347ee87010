"""What is tried and measured where nothing else is asked for."""

GROUP_SIZES = (4, 8, 16)  # channels
LATENCY_BATCHES = (1, 32)  # a request by itself, and a server's
EXAMPLES = 5000  # images, validation included: minutes on two cores
EPOCHS = 3
SEEDS = 2
FINALISTS = 3  # candidates of a search that are compared with each other
BATCH_SIZE = 32
LEARNING_RATE = 1e-3
# Formats of exported models, and how their files end.
SUFFIX = {
    "saved_model": "",
    "onnx": ".onnx",
    "litert": ".tflite",
    "openvino": ".xml",
}
FORMATS = tuple(SUFFIX)
# How a model takes images of bytes: range -> factor and offset of a byte.
PIXELS = {"0..255": (1.0, 0.0), "0..1": (1 / 255, 0.0), "-1..1": (2 / 255, -1.0)}
