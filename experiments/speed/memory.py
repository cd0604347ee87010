"""Peak memory of one forward and backward pass, beside `LayerNormalization`.

    python -m experiments.speed.memory                    every backend installed
    python -m experiments.speed.memory --backend=jax      one

Each number is the growth of the peak resident memory of a process of its own, in
copies of the input, while one pass runs: results and gradients included, input and
incoming gradient not. The ratio is to `LayerNormalization` over all channels. On the
CPU only: what an accelerator allocates is not resident memory. Linux only.
"""

import argparse
import importlib.util
import os
import subprocess
import sys

from experiments.machinery import files

BACKENDS = ("tensorflow", "jax", "torch")
BASELINE = "LayerNormalization"
OURS = "GroupLayerNormalization"


def main():
    parser = argparse.ArgumentParser(prog="python -m experiments.speed.memory")
    parser.add_argument("--backend", choices=BACKENDS, help="default: all installed")
    parser.add_argument("--rows", type=int, default=65536, help="rows of the input")
    parser.add_argument("--channels", type=int, default=768, help="its channels")
    parser.add_argument(
        "--group_size",
        type=lambda text: [int(n) for n in text.split(",")],
        default=[4, 8, 16, 48, 768],
        help="comma-separated channels a group",
    )
    parser.add_argument("--output", default="results/kernels", help="a folder")
    parser.add_argument("--one", nargs=2, metavar=("NAME", "SIZE"), help="internal")
    arguments = parser.parse_args()
    if arguments.one:
        name, size = arguments.one
        print(growth(name, int(size), arguments.rows, arguments.channels))
        return
    installed = [name for name in BACKENDS if importlib.util.find_spec(name)]
    for backend in [arguments.backend] if arguments.backend else installed:
        write(arguments, backend, list(measure(arguments, backend)))


def measure(arguments, backend):
    """Yields one row a group size, the baseline first."""
    baseline = None
    cases = [(BASELINE, arguments.channels)]
    cases += [(OURS, size) for size in arguments.group_size]
    for name, size in cases:
        command = [
            sys.executable,
            "-m",
            "experiments.speed.memory",
            "--one",
            name,
            str(size),
        ]
        command += [f"--rows={arguments.rows}", f"--channels={arguments.channels}"]
        environment = {**os.environ, "KERAS_BACKEND": backend}
        environment["TF_CPP_MIN_LOG_LEVEL"] = "3"
        done = subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True
        )
        copies = float(done.stdout.split()[-1])
        baseline = baseline or copies
        row = {
            "backend": backend,
            "name": name,
            "group_size": size,
            "copies_of_the_input": round(copies, 3),
            "ratio": round(copies / baseline, 3),
        }
        print(" ".join(f"{k}={v}" for k, v in row.items()), flush=True)
        yield row


def growth(name, size, rows, channels):
    """Growth of the peak resident memory in one pass, in copies of the input."""
    from experiments.speed import peers

    # A small pass first, so that libraries, compilers and threads are there.
    peers.functions((64, channels), size, 1e-5, backward=True)[name]()
    run = peers.functions((rows, channels), size, 1e-5, backward=True)[name]
    before = _status("VmRSS")
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts again from here
    run()
    return (_status("VmHWM") - before) / (rows * channels * 4)


def _status(field):
    """A size from /proc/self/status, in bytes."""
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024


def write(arguments, backend, rows):
    from experiments.machinery import timing

    path = os.path.join(arguments.output, f"memory_{backend}")
    files.write_csv(path + ".csv", rows)
    environment = timing.environment(backend)
    environment["rows"], environment["channels"] = arguments.rows, arguments.channels
    files.write_json(path + ".json", environment)
    print(f"Written to {path}.csv")


if __name__ == "__main__":
    main()
