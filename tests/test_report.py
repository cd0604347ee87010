"""Claims about the proof-of-concept report and the command line."""

import json
import os
import re
import shutil
import subprocess
import sys
import types

import keras
import numpy as np
import pytest

from lng_keras import __main__ as command_line
from lng_keras import report
from lng_keras.cost import CostTable
from lng_keras.errors import UsageError
from lng_keras.report import answers, experiment, fingerprint, inputs, models
from lng_keras.report.activation import output_activation
from lng_keras.swap import swap_normalization

layers = keras.layers
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def classifier(norm=layers.BatchNormalization, classes=3):
    x = keras.Input((4, 4, 3))
    y = layers.Conv2D(8, 1, name="stage1_conv")(x)
    if norm:
        y = norm(name="stage1_norm")(y)
    y = layers.GlobalAveragePooling2D()(layers.ReLU()(y))
    return keras.Model(x, layers.Dense(classes)(y), name="tiny")


def arrays(n=60):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, n)
    x = rng.normal(size=(n, 4, 4, 3)) * 30 + 60 + 40 * y[:, None, None, None]
    return x.clip(0, 255).astype("uint8"), y


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model file, data in three forms, and a finished report."""
    path = tmp_path_factory.mktemp("poc")
    keras.utils.set_random_seed(0)
    classifier().save(path / "tiny.keras")
    x, y = arrays()
    np.savez(path / "data.npz", x=x, y=y)
    pillow = pytest.importorskip("PIL.Image")
    for i, (pixels, label) in enumerate(zip(x[:12], y, strict=False)):
        os.makedirs(path / "images" / f"class{label}", exist_ok=True)
        image = pillow.fromarray(pixels).resize((9, 7))
        image.save(path / "images" / f"class{label}" / f"{i}.png")
    assert run(path, "--epochs=2", "--seeds=2", "--group_size=4,8") == 0
    return path


def run(path, *more, model="tiny.keras", data="data.npz", output="report"):
    return command_line.main(
        [
            "poc",
            f"--model={path / model if '/' not in model else model}",
            f"--data={data if ':' in data else path / data}",
            f"--output={path / output}",
            "--batch_sizes=1",
            *more,
        ]
    )


def test_the_report_answers_and_is_complete(folder):
    result = json.loads((folder / "report" / "report.json").read_text())
    assert set(result["found"]) == {"as it is", "4", "8"}
    assert all(len(runs) == 2 for runs in result["results"].values())
    for runs in result["results"].values():
        assert len(runs[0]["history"]["val_accuracy"]) == 2
    page = (folder / "report" / "report.html").read_text()
    text = (folder / "report" / "report.md").read_text()
    for shown in (page, text):
        assert "Is it compatible?" in shown
        assert "What does it cost at inference?" in shown
        assert "stage1_norm" in shown
        assert "moving_mean" in shown
    assert result["headline"] in text
    assert len(result["answers"]) == 3
    cost = result["cost"]["rows"]
    assert [row["accuracy"] for row in cost] == [
        np.mean([run["accuracy"] for run in result["results"][name]])
        for name in ("as it is", "4", "8")
    ]
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert page.count("data:image/svg+xml;base64,") >= 6  # light and dark


def test_a_second_run_uses_what_is_finished(folder, capsys):
    before = (folder / "report" / "report.md").read_text()
    assert run(folder, "--epochs=2", "--seeds=2", "--group_size=4,8") == 0
    said = capsys.readouterr().err
    assert said.count("already done") == 7  # six trainings and the costs
    assert "epoch" not in said
    assert (folder / "report" / "report.md").read_text() == before


def test_a_size_that_no_group_gets_and_one_given_twice_are_reported(capsys):
    x, y = arrays()
    result = report.poc(
        classifier(),
        (x[:40], y[:40], x[40:], y[40:]),
        group_sizes=(1, 4, 4),  # of 1, the swap makes 4
        epochs=1,
        seeds=1,
        batch_sizes=(1,),
    )
    assert "[3/3] group size 4, seed 0" in capsys.readouterr().err
    assert list(result.data["results"]) == ["as it is", "1", "4"]
    assert list(result.data["profile"]) == ["1", "4"]
    assert result.content["swap_table"]["rows"][0][3:5] == [4, 4]


def test_a_model_of_a_function_is_the_same_each_time(monkeypatch):
    digests = []
    monkeypatch.setattr(sys.modules[__name__], "made", classifier, raising=False)
    for name in (f"{__name__}:made", "zoo:ln_net") * 2:
        digests.append(fingerprint.of_model(models.load_model(name)))
    assert digests[:2] == digests[2:]


@pytest.mark.slow
def test_progress_is_shown_and_another_budget_is_trained_again(folder, capsys):
    assert run(folder, "--epochs=1", "--seeds=1", "--group_size=4,8") == 0
    said = capsys.readouterr().err
    assert "[1/2]" not in said
    assert "[3/3] group size 8, seed 0: epoch 1/1: loss" in said


def test_a_folder_of_images_is_read(folder):
    model = classifier()
    data = inputs.load_data(str(folder / "images"), model)
    assert data.x.shape[1:] == (4, 4, 3)
    assert len(data.x) + len(data.x_val) == 12
    assert data.x.dtype == np.uint8


def test_a_folder_is_called_by_its_name_with_or_without_a_slash(folder, tmp_path):
    for part in ("train", "val"):
        shutil.copytree(folder / "images", tmp_path / "pets" / part)
    for path in (f"{tmp_path}/pets", f"{tmp_path}/pets/"):
        data = inputs.load_data(path, classifier())
        assert data.description == "folder pets"
        assert (len(data.x), len(data.x_val)) == (12, 12)


def test_of_a_set_without_validation_all_examples_asked_for_are_used(monkeypatch):
    x, y = arrays(60)

    class Builder:
        info = types.SimpleNamespace(splits={"train": None})

        def as_dataset(self, split, as_supervised):
            count = int(re.fullmatch(r"train\[:(\d+)\]", split)[1])
            return list(zip(x, y, strict=True))[:count]

    fake = types.SimpleNamespace(
        builder=lambda name, data_dir: Builder(), as_numpy=lambda dataset: dataset
    )
    monkeypatch.setattr(inputs, "needed", lambda module, extra: fake)
    data = inputs.load_data("some_set", classifier(), examples=50)
    assert (len(data.x), len(data.x_val)) == (40, 10)


def test_the_sample_of_the_repository_is_scaled_to_the_model(folder):
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(10)]
    )
    data = inputs.load_data("zoo:cifar10_sample", model, examples=50)
    assert data.x.shape == (40, 8, 8, 3)
    assert data.x_val.shape == (10, 8, 8, 3)
    assert data.x.dtype == np.uint8
    assert len(np.unique(data.y)) > 5  # the files are sorted by class


def test_arrays_sorted_by_class_are_not_cut_to_the_first_classes(tmp_path):
    y = np.repeat([0, 1, 2], 40)
    x = np.zeros((120, 4, 4, 3), "uint8")
    np.savez(tmp_path / "sorted.npz", x=x, y=y, x_val=x, y_val=y)
    data = inputs.load_data(str(tmp_path / "sorted.npz"), classifier(), examples=40)
    assert (len(data.x), len(data.x_val)) == (32, 8)
    assert set(data.y) == set(data.y_val) == {0, 1, 2}


def test_images_of_any_size_are_fitted_and_other_arrays_refused():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (n, 5, 1)).astype("uint8") for n in (4, 7)]
    assert inputs._fitted(images, (4, 4, 3)).shape == (2, 4, 4, 3)
    assert inputs._fitted(images[:1], (4, 5, 1)).tolist() == [images[0].tolist()]
    with pytest.raises(UsageError, match="no images to scale"):
        inputs._fitted([np.zeros((3,))], (4,))


WRONG = [
    (dict(model="none.keras"), "No such model file"),
    (dict(model="data.npz"), "Cannot load"),
    (dict(model="text.keras"), "is not a .keras file"),
    (dict(model="custom.keras"), "custom class 'Strange'.*--import=MODULE"),
    (dict(model="plain.keras"), "No normalization layer found"),
    (dict(model="os.path/x:join"), "Cannot import"),
    (dict(model="sizes.keras"), r"known input size.*\(None, None, 3\).*keras.Input"),
    (dict(model="two.keras"), "needs a classifier"),
    (dict(data="nothing/"), "No such data folder"),
    (dict(data="empty"), "has no folders"),
    (dict(data="split"), "val has classes that .*train has not: class2; add"),
    (dict(data="labels.npz"), "labels go from 0 to 7.*3 classes, 0 to 2"),
    (dict(data="shape.npz"), "inputs of shape .5, 4, 3. do not fit"),
    (dict(data="names.npz"), "must hold arrays `x` and `y`"),
    (dict(data="text.npz"), "Cannot read"),
    (dict(data="zoo:nothing"), "nothing"),
    (dict(data="uneven.npz"), "20 x_val and 19 y_val"),
    (dict(output="text.keras"), "Cannot write to the output folder"),
]


@pytest.fixture(scope="module")
def wrong(folder):
    (folder / "text.keras").write_text("no model")
    (folder / "text.npz").write_text("no arrays")
    (folder / "empty").mkdir()
    x, y = arrays(20)
    np.savez(folder / "labels.npz", x=x, y=np.arange(20) % 8)
    np.savez(folder / "shape.npz", x=np.zeros((20, 5, 4, 3)), y=y)
    np.savez(folder / "names.npz", images=x)
    np.savez(folder / "uneven.npz", x=x, y=y, x_val=x, y_val=y[1:])
    for path in ("train/class0", "val/class0", "val/class2"):
        os.makedirs(folder / "split" / path)
    classifier(norm=None).save(folder / "plain.keras")
    i = keras.Input((None, 3))
    j = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(i))
    keras.Model(i, layers.Dense(3)(j)).save(folder / "sizes.keras")
    i = keras.Input((4, 4, 3))
    keras.Model(i, layers.LayerNormalization()(i)).save(folder / "two.keras")

    class Strange(layers.Layer):
        def call(self, x):
            return x

    y = layers.Dense(3)(layers.Flatten()(Strange()(i)))
    keras.Model(i, y).save(folder / "custom.keras")
    return folder


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_wrong_input_is_one_line_and_status_2(wrong, arguments, message, capsys):
    before = sorted(os.listdir(wrong))
    assert run(wrong, **{"output": "never", **arguments}) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith("error: ")
    assert re.search(message, said[-1])
    assert sum(line.startswith("error") for line in said) == 1
    assert sorted(os.listdir(wrong)) == before


@pytest.mark.parametrize("name", ["./m.py:build", ".a:b", ":f"])
def test_a_file_or_nothing_in_place_of_a_module_is_refused(name):
    with pytest.raises(UsageError, match="Cannot import.*as in an import statement"):
        models.load_model(name)


def test_a_pattern_that_selects_nothing_is_refused(folder, capsys):
    assert run(folder, "--where=nothing", output="never") == 2
    assert "None of the model's 1 normalizations would be replaced (left out)" in (
        capsys.readouterr().err
    )
    assert not (folder / "never").exists()


def test_the_command_line_runs_as_a_module(folder):
    done = subprocess.run(
        [sys.executable, "-m", "lng_keras", "cost", "none.keras"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1] == (
        "error: No such model file: none.keras"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cost", "m.keras", "--group_size=a"], "is not a list of ints"),
        (["poc", "--model=m.keras"], "required: --data"),
        (["poc", "--model=m", "--data=d", "--epochs=0"], "is not an int >= 1"),
        (
            ["poc", "--model=m", "--data=d", "--learning_rate=nan"],
            "is not a number > 0",
        ),
        (["nothing"], "invalid choice"),
    ],
)
def test_wrong_arguments_are_one_line_and_status_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as error:
        command_line.main(arguments)
    assert error.value.code == 2
    said = capsys.readouterr().err.strip()
    assert message in said
    assert "\n" not in said


def test_cost_prints_and_writes_its_table(folder, capsys):
    arguments = ["cost", str(folder / "tiny.keras"), "--group_size=4"]
    arguments += ["--batch_sizes=1", f"--output={folder / 'cost'}"]
    assert command_line.main(arguments) == 0
    assert "LN-G 4" in capsys.readouterr().out
    assert sorted(os.listdir(folder / "cost")) == ["cost.csv", "cost.json", "cost.svg"]


def test_cost_has_accuracy_and_size_before_and_after_int8(folder, capsys):
    arguments = ["cost", str(folder / "tiny.keras"), "--group_size=4", "--int8"]
    arguments += ["--batch_sizes=1", "--layers=none", "--compiled=no"]
    arguments += [f"--data={folder / 'data.npz'}", f"--output={folder / 'int8'}"]
    assert command_line.main(arguments) == 0
    shown = capsys.readouterr().out
    assert "accuracy, %" in shown
    assert "12 validation examples of data.npz; not trained since the swap" in shown
    rows = json.loads((folder / "int8" / "cost.json").read_text())["rows"]
    plain = ["as it is", "LN-G 4"]
    assert [row["name"] for row in rows] == plain + [f"{n}, int8" for n in plain]
    for row in rows:
        assert 12 * row["accuracy"] == pytest.approx(round(12 * row["accuracy"]))
    assert rows[2]["weight_bytes"] < rows[0]["weight_bytes"]


@pytest.mark.parametrize("command", ["cost", "poc"])
def test_a_folder_that_cannot_be_written_is_refused_before_the_work(
    folder, command, capsys
):
    (folder / "taken").write_text("a file")
    arguments = ["--batch_sizes=1", f"--output={folder / 'taken'}"]
    if command == "cost":
        assert command_line.main(["cost", str(folder / "tiny.keras"), *arguments]) == 2
    else:
        assert run(folder, output="taken") == 2
    said = capsys.readouterr().err
    assert "Cannot write to the output folder" in said
    assert "timing" not in said


def test_export_from_the_command_line(folder, capsys):
    backend = keras.config.backend()
    format = "openvino" if backend == "torch" else "saved_model"
    path = folder / f"exported_{backend}"
    arguments = ["export", str(folder / "tiny.keras"), f"--output={path}"]
    assert command_line.main([*arguments, f"--format={format}"]) == 0
    assert "outputs differ from Keras' by" in capsys.readouterr().out
    assert command_line.main([*arguments, f"--format={format}"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert command_line.main([*arguments, "--format=pickle"]) == 2
    assert "Known: saved_model, onnx" in capsys.readouterr().err


def test_from_python_it_shows_in_a_notebook():
    x, y = arrays()
    result = report.poc(
        classifier(layers.LayerNormalization),
        (x[:40], y[:40], x[40:], y[40:]),
        group_sizes=(4,),
        epochs=1,
        seeds=1,
        batch_sizes=(1,),
        progress=lambda text: None,
    )
    assert result._repr_html_().startswith("<iframe srcdoc=")
    assert result.paths == {}
    with pytest.raises(UsageError, match="must be >= 1"):
        report.poc(classifier(), (x, y, x, y), epochs=0)


def ends_in(last, units=3):
    x = keras.Input((4,))
    return keras.Model(x, last(layers.Dense(units)(x)))


def test_the_last_activation_is_found_wherever_it_is():
    x = keras.Input((4,))
    head = ends_in(layers.Softmax())
    two = keras.Sequential(
        [keras.Input((4,)), keras.Sequential([layers.Dense(3, "softmax")])]
    )
    swapped, _ = swap_normalization(
        keras.Model(x, head(layers.LayerNormalization()(x))), group_size=4
    )
    for model, wanted in [
        (ends_in(layers.Dense(3, activation="softmax")), "softmax"),
        (head, "softmax"),
        (ends_in(layers.Activation("softmax", dtype="float32")), "softmax"),
        (ends_in(keras.ops.softmax), "softmax"),
        (keras.Model(x, head(x)), "softmax"),
        (two, "softmax"),
        (swapped, "softmax"),
        (ends_in(layers.Activation("sigmoid"), units=1), "sigmoid"),
        (ends_in(layers.Dense(3)), "linear"),
    ]:
        assert output_activation(model) == wanted
        loss = experiment.compiled(model, 0.1).loss
        assert loss.get_config()["from_logits"] == (wanted == "linear")


def test_a_probability_of_one_class_is_right_above_a_half():
    x = keras.Input((1,))
    inside = keras.Model(x, layers.Activation("sigmoid")(x))
    values, labels = np.array([[-1.0], [1.0]]), np.array([0, 1])
    for model in (inside, keras.Model(x, inside(x)), keras.Model(x, x * 1.0)):
        assert experiment.correct(model, values, labels, 2) == [1, 1]


def test_a_fingerprint_tells_configurations_and_weights_apart_but_not_names():
    def built(activation="relu", seed=0, strides=1, dtype=None):
        keras.utils.set_random_seed(seed)
        x = keras.Input((4, 4, 3))
        y = layers.Conv2D(4, 1, strides, activation=activation, dtype=dtype)(x)
        y = layers.BatchNormalization()(y + layers.Softmax()(y))
        inner = keras.Sequential([layers.Flatten(), layers.Dense(3, "softmax")])
        return keras.Model(x, Affine()(inner(layers.Dropout(0.1)(y))))

    class Affine(layers.Layer):
        def build(self, shape):
            self.factor = self.add_weight(shape=shape[1:], initializer="ones")

        def call(self, x):
            return x * self.factor

    of_model, model = fingerprint.of_model, built()
    again = built()
    assert [a.name for a in model.layers] != [b.name for b in again.layers]
    assert of_model(model) == of_model(again)
    again.compile("sgd", "mse")
    again.predict(np.zeros((2, 4, 4, 3)), verbose=0)
    assert of_model(model) == of_model(again)
    others = [built("gelu"), built(seed=1), built(dtype="mixed_float16")]
    others += [built(strides=4), built()]
    others[-1].layers[1].trainable = False
    assert len({of_model(m) for m in (model, *others)}) == 6


def test_a_model_that_cannot_be_saved_has_a_fingerprint_of_its_weights():
    class Unsaved(layers.Layer):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def call(self, x):
            return self.function(x)

    def built(seed):
        keras.utils.set_random_seed(seed)
        return ends_in(Unsaved(lambda x: x + 1))

    first, second, other = (fingerprint.of_model(built(s)) for s in (0, 0, 1))
    assert first == second != other


def test_running_statistics_settle_in_a_short_training():
    x = y = keras.Input((4,))
    for name, arguments in [("slow", dict(momentum=0.999)), ("fast", dict(momentum=0))]:
        y = layers.BatchNormalization(name=name, **arguments)(y)
    model = keras.Model(x, y)
    before, after = experiment.settle(model, steps=10)
    assert before == 0.999
    assert model.get_layer("slow").momentum ** 10 == pytest.approx(0.01)
    assert model.get_layer("fast").momentum == 0
    values = np.full((8, 4), 5.0)
    for _ in range(10):
        model(values, training=True)
    mean = keras.ops.convert_to_numpy(model.get_layer("slow").moving_mean)
    np.testing.assert_allclose(mean, 5, rtol=0.02)
    assert experiment.settle(model, steps=10) is None


def test_bytes_are_scaled_unless_the_model_does_it():
    x = np.array([[0, 255]], "uint8")
    y = keras.Input((2,))
    rescaling = keras.Model(y, layers.Rescaling(1 / 255)(y))
    for model, pixels, wanted in [
        (classifier(), "auto", [0, 1]),
        (rescaling, "auto", [0, 255]),
        (classifier(), "-1..1", [-1, 1]),
    ]:
        pixels = experiment.pixel_range(model, pixels)
        np.testing.assert_allclose(experiment.scaled(x, pixels), [wanted], atol=1e-6)
    floats = np.ones((1, 2), "float32")
    assert experiment.scaled(floats, "-1..1") is floats
    with pytest.raises(UsageError, match="Unknown range of pixels"):
        experiment.pixel_range(classifier(), "0..2")


def test_latency_is_compared_in_the_mode_the_model_runs_fastest_in():
    def entry(mode, median, spread=1):
        spread = {"q25_ms": median - spread, "q75_ms": median + spread}
        return {"batch": 32, "mode": mode, "median_ms": median, **spread}

    def row(name, graph, compiled, spread=1):
        latency = [entry("graph", graph, spread), entry("XLA", compiled)]
        return {"name": name, "latency": latency}

    rows = [row("as it is", 10, 100), row("LN-G 8", 15, 90), row("LN-G 8, int8", 1, 1)]
    rows.insert(2, row("LN-G 4", 15, 90, spread=5))
    table = CostTable(rows, {}, {})
    assert answers.latency_ratios(table) == {"8": {32: "x1.50"}, "4": {32: "≈x1.50"}}


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page with")
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_in_a_browser(folder, width, scheme, tmp_path):
    # The page has no script of its own: this copy of it has one that reports.
    page = (folder / "report" / "report.html").read_text()
    probe = """<script>
window.addEventListener("load", () => {
  const pictures = [...document.querySelectorAll("img")];
  const tables = [...document.querySelectorAll(".wide table")]
    .filter(t => !t.closest("details"));
  const box = element => element.getBoundingClientRect();
  const shorts = [...document.querySelectorAll(".short, .glance dd")];
  document.title = JSON.stringify({
    width: innerWidth,
    scroll: document.documentElement.scrollWidth,
    pictures: pictures.filter(p => p.complete && p.naturalWidth > 100
      && box(p).width <= innerWidth).length,
    all: pictures.length,
    tables: tables.filter(t => box(t).height > 60).length,
    answers: shorts.filter(s => box(s).height > 10 && box(s).bottom < 844).length,
    verdict: box(document.querySelector("#verdict")).bottom,
    background: getComputedStyle(document.body).backgroundColor,
  });
});
</script></head>"""
    (tmp_path / "page.html").write_text(page.replace("</head>", probe))
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    flags += "--disable-background-networking --disable-component-update "
    flags += "--disable-sync --enable-logging=stderr --dump-dom"
    if scheme == "dark":
        flags += " --blink-settings=preferredColorScheme=0"
    # Chromium's window is at least 500 wide; an iframe is as narrow as asked for.
    frame = f'<iframe src="page.html" width="{width}" height="844"></iframe>'
    relay = """<script>onload = () => setTimeout(() => { document.title =
      document.querySelector("iframe").contentDocument.title; }, 300)</script>"""
    (tmp_path / "frame.html").write_text(frame + relay)
    done = subprocess.run(
        [
            CHROMIUM,
            *flags.split(),
            "--allow-file-access-from-files",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1400,900",
            "--virtual-time-budget=3000",
            (tmp_path / "frame.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "CONSOLE" not in done.stderr
    title = done.stdout.split("<title>")[1].split("</title>")[0]
    seen = json.loads(title.replace("&quot;", '"'))
    assert seen["width"] == width
    assert seen["scroll"] <= width  # wide tables scroll inside themselves
    assert seen["pictures"] == seen["all"] >= 3
    assert seen["tables"] == 4  # two of the answers, accuracy, cost
    assert seen["answers"] >= 3  # all three on the first screen
    assert seen["verdict"] < 844  # on the first screen
    assert (seen["background"] == "rgb(246, 248, 250)") == (scheme == "light")
