"""MobileNetV3Small for CIFAR-10 at 96 x 96 pixels, the model of results/adopt.

python -m lng_keras poc --model=examples.mobilenet_v3:build --data=zoo:cifar10_sample \\
    --examples=2000 --output=report

Which of its 34 norms to replace; with --data=cifar10 --examples=20000 --epochs=20
--seeds=5 in hours instead of minutes, and worth quoting:

python -m lng_keras poc --model=examples.mobilenet_v3:build --data=zoo:cifar10_sample \\
    --examples=2000 --placements=auto --output=report
"""

import keras


def build():
    """The small MobileNetV3 of Keras with random weights, the same in every call."""
    keras.utils.set_random_seed(0)
    return keras.applications.MobileNetV3Small(
        weights=None, input_shape=(96, 96, 3), classes=10
    )
