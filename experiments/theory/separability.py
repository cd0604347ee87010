"""Experiment 2: LSSR through the layers of linear nets, LN-Nets and LN-G nets."""

import pathlib

import numpy as np

from experiments.machinery import files, plots
from lng_keras.measures import least_squares_accuracy, linear_sum_of_squares_ratio

NETS = {"linear": ("none", None), "LN": ("ln", None), "LN-G, size 8": ("lng", 8)}
_DEPTH, _WIDTH = 4, 128
_EPOCHS = {"smoke": 1, "cpu": 20, "full": 100}
_IMAGES = 10_000  # the first of each class: LSSR needs many more samples than features
_DATA = {"smoke": ("cifar10_sample",), "cpu": ("mnist", "cifar10")}
_COLORS = {"linear": "C0", "LN": "C1", "LN-G, size 8": "C2"}


def run(budget, seeds, output):
    """Trains each net on real and on random labels; writes `separability.csv`, `.png`.

    Adam at 0.001, batches of 256; LSSR of the training images, before the first and
    after every hidden linear and normalization layer. Seed 0 only.
    """
    output, rows = pathlib.Path(output), []
    for dataset in _DATA.get(budget, _DATA["cpu"]):
        from experiments.theory import images

        data = images.load(dataset, grayscale=True)
        if len(data.train) > _IMAGES:
            data = images.select(data, _IMAGES)
        x = data.train.images.astype("float32") / 127.5 - 1
        for kind in ("real", "random"):
            labels = data.train.labels
            if kind == "random":
                labels = images.random_labels(data, 0)
            before = dict(
                lssr=linear_sum_of_squares_ratio(x, labels),
                least_squares_accuracy=least_squares_accuracy(x, labels),
            )
            for net in NETS:
                found = _through(net, x, labels, _EPOCHS[budget], before)
                for row in found:
                    rows.append(dict(dataset=dataset, labels=kind, net=net, **row))
                files.write_csv(output / "separability.csv", rows)
                print(dataset, kind, net, rows[-1], flush=True)
    _plot(rows, _EPOCHS[budget], output / "separability.png")
    return rows


def _through(net, x, labels, epochs, before):
    import keras

    import zoo

    keras.utils.set_random_seed(0)
    norm, size = NETS[net]
    model = zoo.build(
        "ln_net",
        norm=norm,
        group_size=size,
        input_shape=x.shape[1:],
        depth=_DEPTH,
        width=_WIDTH,
    )
    model.compile(
        keras.optimizers.Adam(1e-3, clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=keras.backend.backend() != "torch",
    )
    model.fit(x, labels, batch_size=256, epochs=epochs, verbose=0)
    accuracy = model.evaluate(x, labels, batch_size=1000, verbose=0)[1]
    layers = [a for a in model.layers if a.name.startswith(("hidden", "norm"))]
    probe = keras.Model(model.inputs, [a.output for a in layers])
    outputs = probe.predict(x, batch_size=1000, verbose=0)
    common = dict(samples=len(x), epochs=epochs, train_accuracy=float(accuracy))
    common["least_squares_accuracy"] = before["least_squares_accuracy"]
    rows = [dict(layer="inputs", lssr=before["lssr"])]
    for layer, output in zip(layers, outputs, strict=True):
        lssr = linear_sum_of_squares_ratio(np.asarray(output), labels)
        rows.append(dict(layer=layer.name, lssr=lssr))
    return [{**row, **common} for row in rows]


def _plot(rows, epochs, path):
    panels = list(dict.fromkeys((r["dataset"], r["labels"]) for r in rows))
    figure = plots.figure(3.6 * len(panels), 4)
    axes = figure.subplots(1, len(panels), squeeze=False)
    for panel, (dataset, labels) in zip(axes[0], panels, strict=True):
        for net in NETS:
            own = [
                r
                for r in rows
                if (r["dataset"], r["labels"], r["net"]) == (dataset, labels, net)
            ]
            # The linear net has no norms: its layers stand at the hidden ones.
            names = ["inputs"]
            for i in range(1, _DEPTH + 1):
                names += [f"hidden{i}", f"norm{i}"]
            at = [names.index(r["layer"]) for r in own]
            accuracy = 100 * own[0]["train_accuracy"]
            label = f"{net}: {accuracy:.1f} % right"
            panel.plot(
                at, [r["lssr"] for r in own], "o-", color=_COLORS[net], label=label
            )
        panel.set_xticks(range(len(names)), names, rotation=70, fontsize=8)
        panel.set_title(f"{dataset}, {labels} labels")
        panel.legend(fontsize=8)
    axes[0][0].set_ylabel(f"LSSR of the training images, {epochs} epochs")
    plots.save(path, figure)
