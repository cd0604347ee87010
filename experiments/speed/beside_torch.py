"""Times our training step beside the same model in plain PyTorch.

    python -m experiments.speed.beside_torch --model=vit_ti     ViT Ti/4, LN
    python -m experiments.speed.beside_torch --model=resnet20   ResNet-20, BN and ReLU

Ours on every installed backend, as train.py runs it; beside it the models of
experiments/speed/torch_models.py, eager and torch.compile, and timm's ViT where timm is
installed. 32 x 32 images, float32, the same optimizer and clipping, as many threads as
--cores. Each contestant is a process that makes one step when it is its turn, and waits
while the others make theirs.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

from experiments.machinery import timing

OURS = {
    "ours tensorflow, XLA": ("tensorflow", True),
    "ours tensorflow": ("tensorflow", False),
    "ours jax": ("jax", True),
    "ours torch": ("torch", False),
}
PEERS = {
    "plain torch": dict(),
    "plain torch, compiled": dict(compiled=True),
    "plain torch, channels last": dict(channels_last=True),
    "plain torch, channels last, compiled": dict(channels_last=True, compiled=True),
    "timm": dict(timm=True),
    "timm, compiled": dict(timm=True, compiled=True),
}


def main():
    parser = argparse.ArgumentParser(prog="python -m experiments.speed.beside_torch")
    parser.add_argument("--model", choices=["vit_ti", "resnet20"], default="vit_ti")
    parser.add_argument("--batch_size", type=int, default=128, help="images a step")
    parser.add_argument("--repeats", type=int, default=9, help="steps of each")
    parser.add_argument("--cores", type=int, default=2, help="threads of each")
    parser.add_argument("--output", default="results/throughput", help="a folder")
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contestant:
        return compete(arguments)

    waiting = {}
    for name in [*OURS, *PEERS]:
        skipped = ("timm",) if arguments.model == "resnet20" else ("channels last",)
        if any(word in name for word in skipped):
            continue
        contestant = _start(name)
        answer = contestant.stdout.readline().split()  # ready, after two steps
        if answer[:1] == ["ready"]:
            waiting[name] = contestant
            print(f"{name}: {answer[1]} parameters, ready in {answer[2]} s", flush=True)
        else:
            print(f"{name}: left out, it does not start", flush=True)
    steps = {name: _turn(contestant) for name, contestant in waiting.items()}
    from lng_keras._base.timing import in_turns

    seconds = in_turns(steps, arguments.repeats, warm_up=1)
    for contestant in waiting.values():
        contestant.stdin.close()
        contestant.wait()

    fastest = min(
        (name for name in seconds if name in PEERS),
        key=lambda name: statistics.median(seconds[name]),
    )
    rows = []
    for name, times in seconds.items():
        middle, low, high = timing.ratio(times, seconds[fastest])
        rows.append(
            {
                "contestant": name,
                "milliseconds": round(statistics.median(times) * 1e3, 1),
                "images_per_second": round(
                    arguments.batch_size / statistics.median(times), 1
                ),
                "time_over_fastest_peer": round(middle, 3),
                "quartiles": [round(low, 3), round(high, 3)],
            }
        )
        print(" ".join(f"{k}={v}" for k, v in rows[-1].items()), flush=True)
    timing.write(
        os.path.join(arguments.output, f"beside_torch_{arguments.model}.json"),
        {
            **timing.environment("all"),
            "batch_size": arguments.batch_size,
            "steps": arguments.repeats,
            "threads": arguments.cores,
            "fastest_peer": fastest,
            "rows": rows,
        },
    )


def _start(name):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if name in OURS:
        environment["KERAS_BACKEND"] = OURS[name][0]
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.speed.beside_torch"]
        + [*sys.argv[1:], f"--contestant={name}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )


def _turn(contestant):
    """A function that lets a contestant make one step and returns when it is done."""

    def step():
        contestant.stdin.write("go\n")
        contestant.stdin.flush()
        contestant.stdout.readline()

    return step


def compete(arguments):
    """One contestant: makes a step for each line it reads."""
    name, cores = arguments.contestant, arguments.cores
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    started = time.time()
    make = ours if name in OURS else peer
    step, parameters = make(name, arguments.model, arguments.batch_size, cores)
    for _ in range(2):
        step()
    print("ready", parameters, round(time.time() - started), flush=True)
    for _ in sys.stdin:
        step()
        print("done", flush=True)


def ours(name, model, batch_size, cores):
    """Returns a function that makes a training step, and the number of parameters."""
    backend, compiled = OURS[name]
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(cores)
    elif backend == "torch":
        import torch

        torch.set_num_threads(cores)
    import numpy as np

    import zoo
    from zoo.devices import cpu
    from zoo.training import optimization

    if model == "vit_ti":
        network, settings = zoo.build("vit_ti", norm="ln"), zoo.MODELS["vit_ti"].recipe
    else:
        network = zoo.build("resnet_na", norm="bn", depth=20, activation="relu")
        settings = zoo.MODELS["resnet_na"].recipe
    names = ("optimizer", "learning_rate", "weight_decay", "label_smoothing")
    optimization.compile_model(
        network,
        total_steps=1000,
        warmup_steps=10,
        jit_compile=compiled,
        **{name: settings[name] for name in (*names, "clip_norm")},
    )
    cpu.speed_up(network, compiled)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch_size, 32, 32, 3)).astype("float32")
    y = np.eye(10, dtype="float32")[rng.integers(0, 10, batch_size)]
    count = sum(int(np.prod(v.shape)) for v in network.trainable_variables)
    return lambda: network.train_on_batch(x, y), count


def peer(name, model, batch_size, cores):
    """As `ours`, in plain PyTorch."""
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(cores)
    how = PEERS[name]
    x = torch.randn(batch_size, 3, 32, 32)
    y = torch.randint(0, 10, (batch_size,))
    network = _network(model, how.get("timm"))
    if how.get("channels_last"):
        network = network.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    parameters = list(network.parameters())
    if model == "vit_ti":
        optimizer = torch.optim.AdamW(parameters, 1e-3, weight_decay=0.05, fused=True)
        smoothing = 0.1
    else:
        optimizer = torch.optim.SGD(
            parameters, 0.1, 0.9, nesterov=True, weight_decay=5e-4, fused=True
        )
        smoothing = 0.0
    forward = torch.compile(network) if how.get("compiled") else network

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(forward(x), y, label_smoothing=smoothing)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return loss.item()

    return step, sum(p.numel() for p in parameters)


def _network(model, timm):
    if timm:
        import timm

        return timm.create_model(
            "vit_tiny_patch16_224", img_size=32, patch_size=4, num_classes=10
        )
    from experiments.speed.torch_models import ResNet, ViT

    return ViT(depth=12, width=192, heads=3) if model == "vit_ti" else ResNet(20)


if __name__ == "__main__":
    main()
