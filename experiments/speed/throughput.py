"""Images a second of a real run beside those of its input and of its step alone.

    python -m experiments.speed.throughput [--model=vit]     TensorFlow
    KERAS_BACKEND=jax python -m experiments.speed.throughput --data_on_device=false

A run of train.py's own loop on the bundled sample, with its default settings but for
the batch. After each of its short epochs the same epoch's input is drawn alone, and as
many steps are made on one batch that is made already. The run should reach 95 % of the
slower of the two; the ratio is of neighbours in time, median and quartiles.
"""

import argparse
import dataclasses
import os
import statistics
import time


def main():
    parser = argparse.ArgumentParser(prog="python -m experiments.speed.throughput")
    parser.add_argument("--model", default="vit", help="vit or resnet_na")
    parser.add_argument("--norm", default="lng", help="as train.py's")
    parser.add_argument("--batch_size", type=int, default=128, help="images a step")
    parser.add_argument("--steps", type=int, default=20, help="steps an epoch")
    parser.add_argument("--repeats", type=int, default=6, help="epochs of each")
    parser.add_argument(
        "--data_on_device",
        nargs="+",
        default=["true", "false"],
        help="as train.py's; one after the other",
    )
    parser.add_argument("--output", default="results/throughput", help="a folder")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    import keras

    from experiments.machinery import timing

    backend = keras.backend.backend()
    rows = []
    for where in arguments.data_on_device:
        if backend == "torch" and where == "true":
            continue
        rows.append({"data_on_device": where, **measure(arguments, where)})
        print(" ".join(f"{k}={v}" for k, v in rows[-1].items()), flush=True)
        timing.write(
            os.path.join(arguments.output, f"run_{arguments.model}_{backend}.json"),
            {
                **timing.environment(backend),
                **{k: v for k, v in vars(arguments).items() if k not in ("output",)},
                "rows": rows,
            },
        )


def measure(arguments, where):
    """Returns images a second of the input, the step and the run, and their ratio."""
    import numpy as np

    from zoo import data
    from zoo.training import assembly, completion, loop
    from zoo.training.settings import Settings

    count = arguments.steps * arguments.batch_size
    images = data.load()
    if count > len(images.train):
        raise SystemExit(f"--steps x --batch_size must be <= {len(images.train):,}")
    images = dataclasses.replace(
        data.select(images, count, 0), test=images.test.take(np.arange(10))
    )
    asked = Settings(
        model=arguments.model,
        norm=arguments.norm,
        batch_size=arguments.batch_size,
        epochs=arguments.repeats + 1,
        data_on_device=where,
    )
    settings = completion.complete(asked, images)
    model = assembly.build(settings, images, arguments.steps)
    make_batches = assembly.batch_maker(settings, images)
    on_host = dataclasses.replace(settings, data_on_device="false")
    fed = assembly.batch_maker(on_host, images)(0, 0)
    alone = assembly.build(on_host, images, arguments.steps)
    ready = _repeated(fed.make(0), arguments.steps)
    speeds = {"input": [], "step": [], "run": []}

    def between(rows):
        """After an epoch of the run: its input and its step, each alone."""
        start = time.perf_counter()
        batches = make_batches(len(rows), 0)
        for i in range(len(batches)):
            batches[i]
        drawn = time.perf_counter()
        alone.fit(ready, epochs=1, shuffle=False, verbose=0)
        stepped = time.perf_counter()
        if len(rows) > 1:  # the first compiles
            speeds["input"].append(count / (drawn - start))
            speeds["step"].append(count / (stepped - drawn))
            speeds["run"].append(count / rows[-1]["seconds"])

    loop.train(
        *(model, images, make_batches),
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        on_epoch=between,
    )
    ratios = [
        run / min(drawn, step)
        for drawn, step, run in zip(*speeds.values(), strict=True)
    ]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        **{
            f"{k}_images_per_second": round(statistics.median(v))
            for k, v in speeds.items()
        },
        "run_over_slower": round(middle, 3),
        "quartiles": [round(low, 3), round(high, 3)],
    }


def _repeated(batch, steps):
    """A data set that is one batch, `steps` times."""
    import keras

    class Ready(keras.utils.PyDataset):
        def __len__(self):
            return steps

        def __getitem__(self, i):
            return batch

    return Ready()


if __name__ == "__main__":
    main()
