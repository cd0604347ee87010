"""Claims about `python -m lng_keras poc`, `cost` and `export`."""

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

from lng_keras._base.errors import UsageError
from lng_keras.adopt import cli as command_line
from lng_keras.adopt import fingerprint, inputs, models, report, trainings
from tests.lng_keras.adopt.poc import arrays, classifier, prepare, run

layers = keras.layers
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model file, data in three forms, and a finished report."""
    path = tmp_path_factory.mktemp("poc")
    prepare(path)
    x, y = arrays()
    pillow = pytest.importorskip("PIL.Image")
    for i, (pixels, label) in enumerate(zip(x[:12], y, strict=False)):
        os.makedirs(path / "images" / f"class{label}", exist_ok=True)
        image = pillow.fromarray(pixels).resize((9, 7))
        image.save(path / "images" / f"class{label}" / f"{i}.png")
    assert run(path, "--epochs=2", "--seeds=2", "--group_size=4,8") == 0
    return path


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
        assert data.description.startswith("folder pets, ")
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
    monkeypatch.setattr(inputs.tfds, "needed", lambda module, extra: fake)
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


def some_data(data_dir):
    x, y = arrays(60)
    assert data_dir == "there"
    return x, y, x[:30], y[:30]


def test_data_are_what_a_function_returns():
    name = f"{__name__}:some_data"
    data = inputs.load_data(name, classifier(), examples=40, data_dir="there")
    assert (len(data.x), len(data.x_val)) == (32, 8)
    assert data.description == "some_data, images of (4, 4)"
    x, y, x_val, _ = some_data("there")
    order = np.random.default_rng(0).permutation(60)[:32]
    np.testing.assert_array_equal(data.x, x[order])
    np.testing.assert_array_equal(data.y, y[order])


def test_pixels_are_as_the_function_says_that_builds_the_model(monkeypatch):
    name = f"{__name__}:made"
    monkeypatch.setattr(sys.modules[__name__], "made", lambda: 0, raising=False)
    assert trainings.pixel_range(classifier(), "auto", name) == "0..1"
    sys.modules[__name__].made.pixels = "0..255"
    assert trainings.pixel_range(classifier(), "auto", name) == "0..255"
    assert trainings.pixel_range(classifier(), "0..1", name) == "0..1"
    assert trainings.pixel_range(classifier(), "auto", "zoo:vit") == "-1..1"
    sys.modules[__name__].made.pixels = "loud"
    with pytest.raises(UsageError, match="Unknown range of pixels 'loud'"):
        trainings.pixel_range(classifier(), "auto", name)


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
    assert inputs.fitting.fitted(images, (4, 4, 3)).shape == (2, 4, 4, 3)
    assert inputs.fitting.fitted(images[:1], (4, 5, 1)).tolist() == [images[0].tolist()]
    with pytest.raises(UsageError, match="no images to scale"):
        inputs.fitting.fitted([np.zeros((3,))], (4,))


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
    with pytest.raises(SystemExit) as end:
        command_line.main([*arguments, "--format=pickle"])
    assert end.value.code == 2
    assert "choose from 'saved_model', 'onnx'" in capsys.readouterr().err


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
