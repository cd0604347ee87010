"""Tests that files are written whole or not at all."""

import csv

import pytest

from experiments.machinery import files as table_files
from lng_keras._base import files

pytestmark = pytest.mark.once(reason="writes files")


@pytest.mark.parametrize("write", [files.write, table_files.write])
def test_a_failed_write_keeps_the_old_content_and_leaves_nothing(tmp_path, write):
    path = tmp_path / "a.txt"
    write(path, "first")
    with pytest.raises(TypeError):
        write(str(path), 3)
    assert path.read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    write(path, b"second")
    assert path.read_bytes() == b"second"


def test_a_failed_copy_keeps_the_old_content(tmp_path):
    target = tmp_path / "new" / "a.txt"
    table_files.write(target, "first")
    with pytest.raises(FileNotFoundError):
        table_files.copy(tmp_path / "absent", target)
    assert target.read_text() == "first"
    assert [p.name for p in target.parent.iterdir()] == ["a.txt"]


def test_what_another_invocation_is_writing_is_not_touched(tmp_path, monkeypatch):
    path, open_ones = tmp_path / "table.md", []

    def replace(source, target):
        open_ones.append(source.name)

    monkeypatch.setattr(table_files.os, "replace", replace)
    for process in (1, 2):
        monkeypatch.setattr(table_files.os, "getpid", lambda process=process: process)
        table_files.write(path, str(process))
    assert len(set(open_ones)) == 2


def test_rows_come_back_from_csv(tmp_path):
    path = tmp_path / "a.csv"
    assert table_files.read_csv(path) == []
    table_files.write_csv(path, [{"name": "a, b", "ms": 1 / 3}])
    assert table_files.read_csv(path) == [{"name": "a, b", "ms": "0.333333"}]
    with open(path, newline="") as file:
        assert list(csv.reader(file))[0] == ["name", "ms"]
