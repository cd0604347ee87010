"""Times grouped normalization beside what one would use instead.

    python -m experiments.speed.kernels                       every backend installed
    python -m experiments.speed.kernels --backend=jax         one
    python -m experiments.speed.kernels --backend=jax --shape=12608x768 --group_size=4,8

Every number is a ratio to `keras.layers.LayerNormalization` over the whole channel
axis, on the same input and backend, in the same run: the median of `--repeats`
runs taken in turn, and the quartiles. TensorFlow and JAX are compiled by XLA, torch
is eager. "copy" is a copy of the input. Writes a CSV and a plot to `--output`.
"""

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys

from experiments.machinery import files

BACKENDS = ("tensorflow", "jax", "torch")
ROWS = ((4160, 192), (12608, 768))
MAPS = ((64, 32, 32, 64),)
EPSILON = 1e-5


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="python -m experiments.speed.kernels",
        description="Times grouped normalization beside its peers.",
    )
    parser.add_argument("--backend", choices=BACKENDS, help="default: all installed")
    parser.add_argument(
        "--shape",
        type=lambda text: tuple(int(n) for n in text.split("x")),
        action="append",
        help="rows NxC or a map NxHxWxC; may be given again (default: all)",
    )
    parser.add_argument(
        "--group_size",
        type=lambda text: [int(n) for n in text.split(",")],
        default=[4, 8, 16, 48, 0],
        help="comma-separated channels a group; 0 is the whole axis",
    )
    parser.add_argument("--repeats", type=int, default=21, help="runs of each")
    parser.add_argument("--output", default="results/kernels", help="a folder")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    if arguments.backend is None:
        for backend in BACKENDS:
            if importlib.util.find_spec(backend):
                command = [
                    sys.executable,
                    "-m",
                    "experiments.speed.kernels",
                    *sys.argv[1:],
                ]
                subprocess.run([*command, f"--backend={backend}"], check=True)
        return
    os.environ["KERAS_BACKEND"] = arguments.backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    from experiments.machinery import timing
    from experiments.speed import peers

    environment = timing.environment(arguments.backend)
    versions = ", ".join(f"{k} {v}" for k, v in environment["versions"].items())
    print(f"{arguments.backend} on {environment['device']}, ", end="")
    print(f"{environment['cores']} cores; {versions}")
    print("ratio to LayerNormalization over all channels: median [quartiles]\n")
    rows = []
    for shape in arguments.shape or ROWS + MAPS:
        sizes = [size or shape[-1] for size in arguments.group_size]
        for size in dict.fromkeys(s for s in sizes if shape[-1] % s == 0):
            for backward in (False, True):
                found = measure(peers, timing, shape, size, backward, arguments.repeats)
                rows += found
                print_block(shape, size, backward, found)
    write(arguments.output, arguments.backend, rows, environment)


def measure(peers, timing, shape, size, backward, repeats):
    from lng_keras._base.timing import in_turns

    seconds = in_turns(peers.functions(shape, size, EPSILON, backward), repeats)
    rows = []
    for name, values in seconds.items():
        middle, low, high = timing.ratio(values, seconds["LayerNormalization"])
        rows.append(
            {
                "shape": "x".join(map(str, shape)),
                "group_size": size,
                "pass": "forward + backward" if backward else "forward",
                "name": name,
                "milliseconds": round(statistics.median(values) * 1e3, 4),
                "ratio": round(middle, 3),
                "ratio_low": round(low, 3),
                "ratio_high": round(high, 3),
                "runs": repeats,
            }
        )
    return rows


def print_block(shape, size, backward, rows):
    what = "forward + backward" if backward else "forward"
    print(f"{'x'.join(map(str, shape))}, groups of {size}, {what}")
    for row in rows:
        ratio = f"{row['ratio']:6.2f} [{row['ratio_low']:.2f}, {row['ratio_high']:.2f}]"
        print(f"    {row['name']:34s} {row['milliseconds']:9.3f} ms  {ratio}")
    print(flush=True)


def write(folder, backend, rows, environment):
    files.write_csv(os.path.join(folder, f"{backend}.csv"), rows)
    environment["command"] = " ".join(
        ["python -m experiments.speed.kernels", *sys.argv[1:]]
    )
    files.write_json(os.path.join(folder, f"{backend}.json"), environment)
    from experiments.speed import plots

    plots.ratios(rows, environment, os.path.join(folder, f"{backend}.png"))
    print(f"Written to {folder}: {backend}.csv, {backend}.json, {backend}.png")


if __name__ == "__main__":
    main()
