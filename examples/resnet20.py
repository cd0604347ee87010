"""ResNet-20 with ReLU for CIFAR-10, where ReLU follows every addition.

So none of its norms is in linear position; those of the residual branches' ends are in
residual position. Which of them to replace, five seeds each, in hours on two cores:

python -m lng_keras poc --model=examples.resnet20:build --data=cifar10 \\
    --examples=20000 --epochs=20 --seeds=5 --placements=all,residual --output=report
"""

import keras

import zoo


def build():
    """ResNet-20 with BatchNormalization and random weights, the same in every call."""
    keras.utils.set_random_seed(0)
    return zoo.build("resnet_na", norm="bn", activation="relu")
