"""One layer normalization of three neurons solves XOR. No activation anywhere.

python -m examples.xor            # prints the numbers, writes xor.png
python -m examples.xor --output=DIR
"""

import argparse
import pathlib

import keras
import numpy as np

from lng_keras import GroupLayerNormalization
from lng_keras.measures import linear_sum_of_squares_ratio

POINTS = np.array([[1, 1], [-1, -1], [1, -1], [-1, 1]], "float32")
LABELS = np.array([0, 0, 1, 1])
# An orthonormal basis of the plane sum = 0, where LN of three neurons lives.
PLANE = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2], [6]])


def build():
    """Dense(3), LN: the sum of the inputs goes along one axis, 1 along the other.

    The points of one class have sum 2 and -2: LN moves them to opposite sides of the
    circle, at equal height. Those of the other have sum 0, on the circle's top.
    """
    dense = keras.layers.Dense(3)
    norm = GroupLayerNormalization(groups=1, epsilon=1e-12, center=False, scale=False)
    model = keras.Sequential([keras.Input((2,)), dense, norm])
    dense.set_weights([np.outer([1, 1], PLANE[0]), PLANE[1]])
    return model


def main(output="."):
    model = build()
    hidden = keras.ops.convert_to_numpy(model.layers[0](POINTS))
    outputs = keras.ops.convert_to_numpy(model(POINTS))
    print("LSSR of the inputs:         ", linear_sum_of_squares_ratio(POINTS, LABELS))
    print("LSSR after the linear layer:", linear_sum_of_squares_ratio(hidden, LABELS))
    print("LSSR after LN:              ", linear_sum_of_squares_ratio(outputs, LABELS))
    height = outputs @ PLANE[1] / np.sqrt(3)
    print("height on the circle:       ", np.round(height, 4), "for labels", LABELS)
    path = pathlib.Path(output) / "xor.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(hidden, outputs).savefig(path, dpi=130)
    print(f"Picture: {path}")


def draw(hidden, outputs):
    """Returns a figure: inputs, the linear layer's plane, the circle of LN."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 3.8), layout="tight")
    before, plane, after = figure.subplots(1, 3)
    flat, circle = hidden @ PLANE.T, outputs @ PLANE.T / np.sqrt(3)
    angle = np.linspace(0, 2 * np.pi, 200)
    for axes in (plane, after):
        axes.plot(np.cos(angle), np.sin(angle), color="0.8", zorder=0)
    for start, end in zip(flat, circle, strict=True):
        arrow = dict(arrowstyle="->", color="0.5", shrinkA=5, shrinkB=5)
        plane.annotate("", end, start, arrowprops=arrow)
    cut = (circle[LABELS == 0, 1].max() + circle[LABELS == 1, 1].min()) / 2
    after.axhline(cut, color="k", linestyle="--", linewidth=1)
    after.annotate("one line separates them", (0, cut - 0.18), ha="center")
    for axes, points in ((before, POINTS), (plane, flat), (after, circle)):
        for label, marker in ((0, "o"), (1, "s")):
            chosen = points[LABELS == label]
            axes.scatter(*chosen.T, s=90, marker=marker, label=f"class {label}")
        axes.set_aspect("equal", adjustable="datalim")
    before.set_title("XOR: LSSR 1, no line separates")
    plane.set_title("in the plane of 3 centered neurons")
    after.set_title("after LN: LSSR 0")
    before.legend(loc="center")
    return figure


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default=".", help="Folder of the picture.")
    main(parser.parse_args().output)
