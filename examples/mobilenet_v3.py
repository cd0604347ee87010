"""MobileNetV3Small for CIFAR-10 at 96 x 96 pixels, the model of results/adopt.

python -m lng_keras poc --model=examples.mobilenet_v3:build --data=zoo:cifar10_sample \\
    --examples=2000 --output=report
"""

import keras


def build():
    """The small MobileNetV3 of Keras with random weights, the same in every call."""
    keras.utils.set_random_seed(0)
    return keras.applications.MobileNetV3Small(
        weights=None, input_shape=(96, 96, 3), classes=10
    )
