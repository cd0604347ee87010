"""Markers that excuse a test from a backend, and the counts told of them."""

import pathlib
import re

import pytest

from tests import backends, coverage
from tests.__main__ import tally

pytestmark = pytest.mark.once(reason="reads markers and reports")


def marks(*decorators):
    return [decorator.mark for decorator in decorators]


def test_a_test_without_a_marker_is_excused_nowhere():
    for backend in backends.BACKENDS:
        assert backends.excuse(marks(pytest.mark.slow), backend) is None


def test_a_marker_excuses_from_the_backends_it_does_not_name():
    both = marks(pytest.mark.only("jax", "torch", reason="no graph"))
    assert backends.excuse(both, "tensorflow") == "no graph"
    assert backends.excuse(both, "jax") is None
    assert backends.excuse(both, "torch") is None
    once = marks(pytest.mark.once(reason="reads JSON"))
    excused = [backends.excuse(once, backend) for backend in backends.BACKENDS]
    assert excused == [None, "reads JSON", "reads JSON"]


@pytest.mark.parametrize(
    "marker",
    [
        pytest.mark.only("jax"),
        pytest.mark.only("jax", reason=" "),
        pytest.mark.only("jax", "no such reason"),
        pytest.mark.only("numpy", reason="x"),
        pytest.mark.only(reason="x"),
        pytest.mark.only(*backends.BACKENDS, reason="excuses from none"),
        pytest.mark.only("jax", reason="x", strict=True),
        pytest.mark.once(),
        pytest.mark.once("jax", reason="x"),
    ],
    ids=str,
)
def test_a_marker_without_reason_or_backend_is_refused(marker):
    with pytest.raises(pytest.UsageError, match="Mark"):
        backends.excuse(marks(marker), "jax")


def test_no_test_is_excused_from_a_backend_by_another_mark():
    for path in pathlib.Path(backends.__file__).parent.rglob("test_*.py"):
        found = re.findall(r"(?i)skip(?:if)?\([^)]*backend", path.read_text())
        assert not found, (path, found)


def test_runs_and_excuses_are_counted_from_the_report_of_pytest(tmp_path):
    (tmp_path / "report.xml").write_text(
        """<testsuites><testsuite>
        <testcase name="a"/>
        <testcase name="b"><failure message="assert 0"/></testcase>
        <testcase name="c"><error message="setup"/></testcase>
        <testcase name="d"><skipped message="excused: reads JSON"/></testcase>
        <testcase name="e"><skipped message="excused: reads JSON"/></testcase>
        <testcase name="f"><skipped message="needs CIFAR-10"/></testcase>
        </testsuite></testsuites>"""
    )
    found = tally(tmp_path / "report.xml")
    assert found.ran == 3
    assert found.excused == {"reads JSON": 2}
    assert found.skipped == {"needs CIFAR-10": 1}


def test_packages_and_files_of_low_coverage_are_told():
    def counts(lines, of_lines, branches, of_branches):
        return {
            "summary": {
                "covered_lines": lines,
                "num_statements": of_lines,
                "covered_branches": branches,
                "num_branches": of_branches,
            }
        }

    files = {
        "zoo/__init__.py": counts(0, 0, 0, 0),
        "zoo/models/vit.py": counts(90, 90, 9, 10),
        "zoo/data/folder.py": counts(80, 80, 2, 20),
    }
    shown = [line.split() for line in coverage.told(files).splitlines()]
    assert shown == [
        ["Lines", "and", "branches", "taken:"],
        ["90.5", "%", "zoo"],
        ["82.0", "%", "zoo/data"],
        ["99.0", "%", "zoo/models"],
        ["Files", "below", "90", "%:"],
        ["82.0", "%", "zoo/data/folder.py"],
    ]
