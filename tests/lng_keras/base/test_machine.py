"""Tests of what is said about the machine that numbers are measured on."""

import os
import subprocess
import sys

import pytest

from lng_keras._base import machine


def test_cores_are_those_this_process_may_use():
    assert 1 <= machine.cores() <= os.cpu_count()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux only")
def test_a_process_held_to_one_core_says_one():
    program = (
        "import os; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1]); "
        "from lng_keras._base import machine; print(machine.cores())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == "1"


def test_versions_are_those_of_installed_packages():
    import keras

    found = machine.versions(("keras", "no-such-package-anywhere"))
    assert found == {"keras": keras.__version__}


def test_the_processor_has_a_name():
    assert machine.processor().strip()
