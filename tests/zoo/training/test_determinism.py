"""Two runs with one seed are equal bit for bit, on each backend's CPU."""

import functools

import pytest

from tests.command_line import call
from tests.stress.runs import outcome

SMALL = (
    *("--train_examples=48", "--batch_size=16", "--epochs=1", "--warmup_epochs=0"),
    "--ema=0.9",
)
MODELS = {
    "vit": ("--depth=1", "--width=16", "--heads=2", "--dropout=0.1"),
    "resnet_na": ("--depth=8", "--width=8", "--norm=lng_position"),
    "ln_net": ("--depth=2", "--width=8", "--group_size=4"),
}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The run of each model that others are compared with, once."""

    @functools.cache
    def of(model):
        return run(tmp_path_factory.mktemp(model) / "run", model)

    return of


def run(folder, model, *flags):
    flags = (f"--model={model}", *MODELS[model], *flags)
    assert call(f"--run_dir={folder}", *SMALL, *flags) == 0
    return outcome(folder)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", MODELS)
def test_two_runs_with_one_seed_are_equal_bit_for_bit(tmp_path, model, first):
    second = run(tmp_path / "run", model)
    assert first(model)["rows"] == second["rows"]
    assert first(model)["result"] == second["result"]
    assert first(model)["state"] == second["state"]


@pytest.mark.filterwarnings("ignore")
def test_another_seed_gives_another_run(tmp_path, first):
    other = run(tmp_path / "run", "ln_net", "--seed=6")
    assert first("ln_net")["rows"] != other["rows"]
    assert first("ln_net")["state"] != other["state"]
