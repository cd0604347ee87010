"""Tests of what is said about the machine that numbers are measured on."""

import builtins
import io
import os
import platform
import types

import keras
import pytest

from lng_keras._base import machine

CPUINFO = "processor\t: 0\nmodel name\t: Some CPU @ 2.50GHz: 8 cores \nflags\t: fpu\n"


@pytest.fixture
def cpuinfo(monkeypatch):
    """Sets what the system's file says of the processor; None: there is no such."""

    def say(text):
        def fake(path, *arguments, **more):
            assert path == "/proc/cpuinfo"
            if text is None:
                raise FileNotFoundError(path)
            return io.StringIO(text)

        monkeypatch.setattr(builtins, "open", fake)

    yield say
    monkeypatch.undo()


def test_cores_are_those_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 7}, raising=False)
    assert machine.cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")  # not Linux
    assert machine.cores() == 64


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux only")
def test_a_process_held_to_one_core_says_one():
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:1])
    try:
        assert machine.cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert machine.cores() == len(allowed)


def test_the_processor_is_named_as_the_system_names_it(cpuinfo):
    cpuinfo(CPUINFO)
    assert machine.processor() == "Some CPU @ 2.50GHz: 8 cores"


@pytest.mark.parametrize("text", [None, "Hardware\t: a board\n"])
def test_a_processor_without_a_name_is_told_by_its_kind(cpuinfo, monkeypatch, text):
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    cpuinfo(text)
    assert machine.processor() == "aarch64"
    monkeypatch.setattr(platform, "machine", lambda: "")
    assert machine.processor() == "unknown"


def test_versions_are_those_of_installed_packages():
    found = machine.versions(("keras", "no-such-package-anywhere"))
    assert found == {"keras": keras.__version__}


@pytest.mark.only("jax", reason="how JAX tells its devices")
def test_an_accelerator_of_jax_is_named(monkeypatch):
    import jax

    device = types.SimpleNamespace(platform="tpu", device_kind="TPU v5e")
    monkeypatch.setattr(jax, "devices", lambda: [device])
    assert machine.accelerator("jax") == "TPU v5e"
    device.platform = "cpu"
    assert machine.accelerator("jax") is None


@pytest.mark.only("tensorflow", reason="how TensorFlow tells its devices")
def test_an_accelerator_of_tensorflow_is_named(monkeypatch):
    import tensorflow as tf

    devices, details = ["gpu:0", "gpu:1"], {"gpu:0": {"device_name": "H100"}}
    monkeypatch.setattr(tf.config, "list_physical_devices", {"GPU": devices}.get)
    monkeypatch.setattr(
        tf.config.experimental, "get_device_details", lambda gpu: details.get(gpu, {})
    )
    assert machine.accelerator("tensorflow") == "H100"
    del devices[0]
    assert machine.accelerator("tensorflow") == "GPU"
    devices.clear()
    assert machine.accelerator("tensorflow") is None


@pytest.mark.only("torch", reason="how torch tells its devices")
def test_an_accelerator_of_torch_is_named(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H100")
    for there, name in ((True, "H100"), (False, None)):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert machine.accelerator("torch") == name
