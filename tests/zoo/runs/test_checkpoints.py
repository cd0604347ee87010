"""Checkpoints: written whole, checked when read, the one before kept."""

import json

import numpy as np
import pytest

from lng_keras._base.errors import UsageError
from zoo.runs import checkpoints

pytestmark = pytest.mark.once(reason="writes and reads NumPy's files")


def save(folder, number):
    arrays = {"a": np.arange(number, dtype=np.float32), "b": np.array(number)}
    checkpoints.save(folder, arrays, {"number": number})


def test_checkpoint_round_trip_and_the_one_before(tmp_path):
    save(tmp_path, 3)
    save(tmp_path, 4)
    arrays, meta = checkpoints.load_newest(tmp_path)
    assert meta == {"number": 4}
    np.testing.assert_array_equal(arrays["a"], np.arange(4))
    assert checkpoints.load(tmp_path / checkpoints.PREVIOUS)[1] == {"number": 3}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last.npz", "previous.npz"]
    with np.load(tmp_path / checkpoints.LAST) as plain:  # any NumPy can read it
        assert json.loads(plain["meta"].tobytes()) == {"number": 4}


def test_every_flipped_byte_and_cut_is_noticed(tmp_path):
    save(tmp_path, 3)
    path = tmp_path / checkpoints.LAST
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in [*rng.integers(len(content), size=60), len(content) - 1, 0]:
        spoiled = bytearray(content)
        spoiled[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(spoiled)
        with pytest.raises(UsageError, match=r"last.npz is damaged"):
            checkpoints.load(path)
    for length in (0, 1, 70, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(UsageError, match=r"last.npz is damaged"):
            checkpoints.load(path)


def test_damaged_checkpoint_is_named_and_the_one_before_used(tmp_path):
    save(tmp_path, 3)
    save(tmp_path, 4)
    path = tmp_path / checkpoints.LAST
    path.write_bytes(path.read_bytes()[:100])
    said = []
    assert checkpoints.load_newest(tmp_path, said.append)[1] == {"number": 3}
    assert "last.npz is damaged" in said[0]
    save(tmp_path, 5)
    # The damaged file has not taken the place of the good one.
    assert checkpoints.load(tmp_path / checkpoints.PREVIOUS)[1] == {"number": 3}


def test_all_damaged_is_an_error_and_none_is_none(tmp_path):
    assert checkpoints.load_newest(tmp_path) is None
    save(tmp_path, 3)
    (tmp_path / checkpoints.LAST).write_bytes(b"x" * 200)
    with pytest.raises(UsageError, match="all checkpoints in"):
        checkpoints.load_newest(tmp_path, lambda line: None)


def test_failed_write_leaves_the_earlier_checkpoint(tmp_path, monkeypatch):
    save(tmp_path, 3)

    def full(*arguments, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path, 4)
    monkeypatch.undo()
    assert checkpoints.load_newest(tmp_path)[1] == {"number": 3}
    assert [p.name for p in tmp_path.iterdir()] == ["last.npz"]


def test_best_stays_if_the_last_is_gone(tmp_path):
    checkpoints.save(tmp_path, {"w": np.zeros(1)}, {})
    checkpoints.keep_as_best(tmp_path)
    (tmp_path / checkpoints.LAST).unlink()
    checkpoints.keep_as_best(tmp_path)
    assert checkpoints.load(tmp_path / checkpoints.BEST)


def test_best_is_a_copy_that_later_saves_leave_alone(tmp_path):
    for number in (3, 4):
        save(tmp_path, number)
        checkpoints.keep_as_best(tmp_path)
    save(tmp_path, 5)
    save(tmp_path, 6)
    assert checkpoints.load(tmp_path / checkpoints.BEST)[1] == {"number": 4}
    assert not list(tmp_path.glob("*.tmp"))
