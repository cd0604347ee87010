"""Two runs with one seed are equal bit for bit, on each backend's CPU."""

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


def run(folder, *flags):
    assert call(f"--run_dir={folder}", *SMALL, *flags) == 0
    return outcome(folder)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", MODELS)
def test_two_runs_with_one_seed_are_equal_bit_for_bit(tmp_path, model):
    flags = (f"--model={model}", *MODELS[model])
    first, second = (run(tmp_path / name, *flags) for name in ("a", "b"))
    assert first["rows"] == second["rows"]
    assert first["result"] == second["result"]
    assert first["state"] == second["state"]


@pytest.mark.filterwarnings("ignore")
def test_another_seed_gives_another_run(tmp_path):
    flags = ("--model=ln_net", *MODELS["ln_net"])
    first, other = (run(tmp_path / f"{i}", *flags, f"--seed={i}") for i in (5, 6))
    assert first["rows"] != other["rows"]
    assert first["state"] != other["state"]
