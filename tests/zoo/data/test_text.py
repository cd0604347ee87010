"""Parallel text: the number sentences, files, subwords, batches of tokens, refusals."""

import gzip
import hashlib
import json
import os
import pathlib
import re

import numpy as np
import pytest

from lng_keras._base.errors import UsageError
from zoo.data.text import number_sentences, number_words, subwords, translation
from zoo.data.text import parallel_files as files
from zoo.data.text.token_batches import LENGTHS, TokenBatches, in_order, steps

pytestmark = pytest.mark.once(reason="text and its batches are made without a backend")


@pytest.fixture(scope="module")
def sample():
    return translation.load()


def write(folder, **splits):
    for name, text in splits.items():
        path = folder / name.replace("_", ".")
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def parallel(folder, **splits):
    """Three training pairs and one more, with the files that are given instead."""
    usual = dict(
        train_en="a cat\na dog\nthe cat\n",
        train_de="eine Katze\nein Hund\ndie Katze\n",
        val_en="the dog\n",
        val_de="der Hund\n",
    )
    return write(folder, **{**usual, **splits})


@pytest.mark.parametrize(
    ("n", "english", "german"),
    [
        (0, "zero", "null"),
        (1, "one", "eins"),
        (21, "twenty-one", "einundzwanzig"),
        (101, "one hundred one", "einhunderteins"),
        (1001, "one thousand one", "eintausendeins"),
        (21_000, "twenty-one thousand", "einundzwanzigtausend"),
        (
            *(999_999, "nine hundred ninety-nine thousand nine hundred ninety-nine"),
            "neunhundertneunundneunzigtausendneunhundertneunundneunzig",
        ),
    ],
)
def test_numbers_in_words(n, english, german):
    assert number_words.english(n) == english
    assert number_words.german(n) == german


def test_no_two_numbers_have_the_same_words():
    for words in (number_words.english, number_words.german):
        assert len({words(n) for n in range(20_000)}) == 20_000


def test_years_and_days_in_words():
    assert number_words.english_year(1905) == "nineteen oh five"
    assert number_words.english_year(1100) == "eleven hundred"
    assert number_words.german_year(1905) == "neunzehnhundertfünf"
    assert number_words.german_year(2001) == "zweitausendeins"
    ordinals = [number_words.english_ordinal(n) for n in (1, 12, 21, 30)]
    assert ordinals == ["first", "twelfth", "twenty-first", "thirtieth"]
    ordinals = [number_words.german_ordinal(n) for n in (1, 7, 19, 21)]
    assert ordinals == ["ersten", "siebten", "neunzehnten", "einundzwanzigsten"]


def test_number_sentences_are_the_same_everywhere_and_none_is_twice():
    splits = number_sentences.make()
    assert {name: len(pair[0]) for name, pair in splits.items()} == (
        number_sentences.SIZES
    )
    pairs = [p for sides in splits.values() for p in zip(*sides, strict=True)]
    assert len(set(pairs)) == len(pairs)
    digest = hashlib.sha256(json.dumps(splits).encode()).hexdigest()
    assert digest[:16] == "2adc62511e262ce0"
    # The German half hour is that before the next hour.
    hours = "one two three four five six seven eight nine ten eleven twelve".split()
    after = "zwei drei vier fünf sechs sieben acht neun zehn elf zwölf eins".split()
    halves = {e: g for e, g in pairs if "half past" in e}
    assert len(halves) > 5
    for hour, word in zip(hours, after, strict=True):
        assert halves.get(f"it is half past {hour}") in (None, f"es ist halb {word}")


def test_held_out_numbers_are_in_no_training_sentence():
    splits = number_sentences.make()
    words = {number_words.english(n): n for n in range(100_000)}
    seen, new = (
        {s for s in splits[name][0] if s in words} for name in ("train", "val")
    )
    assert len(new) > 50
    assert not seen & new
    assert min(words[s] for s in new) >= 100
    # Nor as a part of a sum.
    parts = {
        part
        for s in splits["train"][0]
        if " is " in s and not s.startswith("it is")
        for part in re.split(" plus | minus | times | is ", s)
    }
    assert len(parts) > 1000
    assert not parts & new


def test_subwords_restore_text_and_are_learnt_alike(sample):
    for side in sample.validation.texts:
        decoded = sample.subwords.decode(sample.subwords.encode(side))
        assert decoded == side
    assert len(sample.subwords) == translation.SAMPLE_VOCABULARY
    again = subwords.learn([s for t in sample.train.texts for s in t], 300)
    assert again.text == sample.subwords.text
    read = subwords.Subwords(again.text)
    assert read.encode(["one two"]) == sample.subwords.encode(["one two"])


def test_marks_are_punctuation_of_their_own_and_unknown_letters_are_counted():
    learnt = subwords.learn(["ab ab.", "b, ab."] * 9, 60)
    text = ["ab, b."]
    assert learnt.decode(learnt.encode(text)) == text
    assert not any("." in s and len(s) > 1 for s in learnt._tokenizer.get_vocab())
    assert learnt.unknown_letters(["aß ßb", "語 a"]) == {"ß": 2, "語": 1}
    assert subwords.UNKNOWN in learnt.encode(["語"])[0]


def test_subwords_come_from_the_training_side_alone(tmp_path):
    data = translation.load(
        "translation", parallel(tmp_path, val_en="the ox\n"), vocabulary=60
    )
    assert "x" in data.subwords.unknown_letters(["ox"])


@pytest.mark.parametrize("text", ["", "{}", "no json", '{"version": "1.0"}'])
def test_other_text_is_no_tokenizer(text):
    with pytest.raises(UsageError, match="^the tokenizer"):
        subwords.Subwords(text)


def test_pairs_are_filled_up_between_their_marks(sample):
    length = int(sample.train.lengths[:3].max()) + 2
    source, target, following = sample.train.padded([0, 1, 2], length)
    for row in range(3):
        a, b = sample.train.ids[0][row], sample.train.ids[1][row]
        assert source[row].tolist()[: len(a) + 2] == [*a, subwords.END, subwords.PAD]
        assert target[row].tolist()[: len(b) + 1] == [subwords.START, *b]
        assert following[row].tolist()[: len(b) + 1] == [*b, subwords.END]
    texts = sample.subwords.decode(following)
    assert texts == sample.train.texts[1][:3]


def batches(sample, epoch=0, first=0, seed=3):
    made = TokenBatches(sample.train, 2048, seed, epoch, first)
    return [made[i] for i in range(len(made))]


def flat(batch):
    (source, target), following = batch
    return [source, target, following]


def test_batches_are_a_function_of_seed_epoch_and_number(sample):
    whole = batches(sample)
    assert len(whole) == steps(sample.train, 2048) == len(batches(sample, epoch=1))
    for a, b in zip(whole[7:], batches(sample, first=7), strict=True):
        np.testing.assert_equal(flat(a), flat(b))
    for other in (batches(sample, epoch=1), batches(sample, seed=4)):
        assert any(
            a[1].shape != b[1].shape or (a[1] != b[1]).any()
            for a, b in zip(whole, other, strict=True)
        )


def test_an_epoch_has_each_pair_once_at_most_and_leaves_few_out(sample):
    made = TokenBatches(sample.train, 2048, 0, 0)
    indices = np.concatenate([indices for indices, _ in made._batches])
    assert len(np.unique(indices)) == len(indices)
    assert len(sample.train) - len(indices) < 2048 // LENGTHS[0]
    for indices, length in made._batches:
        assert sample.train.lengths[indices].max() <= length
        assert len(indices) == 2048 // length
    shapes = {batch[1].shape for batch in batches(sample)}
    assert 1 < len(shapes) <= 6


def test_rare_lengths_are_trained_too(tmp_path):
    long = " ".join(["a cat"] * 9)
    lines = ["a cat"] * 40 + [long]
    text = "\n".join(lines)
    data = translation.load(
        "translation", parallel(tmp_path, train_en=text, train_de=text), vocabulary=20
    )
    assert len({int(n) for n in data.train.lengths}) == 2
    trained = set()
    for epoch in range(60):
        made = TokenBatches(data.train, 64, 0, epoch)
        trained |= {int(i) for indices, _ in made._batches for i in indices}
    assert trained == set(range(41))


def test_every_pair_is_measured_once(sample):
    covered = in_order(sample.validation, 1000)
    indices = np.concatenate([indices for indices, _ in covered])
    assert sorted(indices) == list(range(len(sample.validation)))


def test_long_pairs_are_skipped_and_counted(tmp_path):
    long = " ".join("the cat" for _ in range(40))
    folder = parallel(
        tmp_path,
        train_en=f"a cat\na dog\n{long}\n",
        train_de="eine Katze\nein Hund\nviele\n",
    )
    data = translation.load("translation", folder, vocabulary=60, max_tokens=32)
    assert len(data.train) == 2
    assert data.skipped == {"train": 1, "val": 0}
    with pytest.raises(UsageError, match="all 3 pairs of train have more than 2"):
        translation.load("translation", folder, vocabulary=60, max_tokens=2)


def test_packed_files_tables_and_tests_are_read_alike(tmp_path):
    plain, packed, table = (tmp_path / name for name in ("plain", "packed", "table"))
    for folder in (plain, packed, table):
        folder.mkdir()
    parallel(plain, test_a_en="")
    for path in plain.iterdir():
        if path.name.startswith("test"):
            path.unlink()
    write(plain, test2016_en="a cat\n\n", test2016_de="eine Katze\n\n")
    for path in plain.iterdir():
        (packed / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    for split in ("train", "val", "test2016"):
        sides = [(plain / f"{split}.{k}").read_text().split("\n") for k in ("en", "de")]
        lines = ["\t".join(pair) for pair in zip(*sides, strict=True) if any(pair)]
        (table / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    wanted = files.read_folder(plain, ("en", "de"))
    assert wanted["test2016"] == (["a cat"], ["eine Katze"])
    assert wanted["train"][1] == ["eine Katze", "ein Hund", "die Katze"]
    assert files.read_folder(packed, ("en", "de")) == wanted
    assert files.read_folder(table, ("en", "de")) == wanted


BAD = {
    "unequal": (dict(train_de="eins\n"), "train.en has 3 lines and .*train.de 1;"),
    "empty": (dict(train_de="a\n\nc\n"), "train.de, line 2, is empty, and the other"),
    "no UTF-8": (dict(val_de=b"der H\xfcnd\n"), "val.de, line 1, is no UTF-8"),
    "nothing": (dict(val_en="\n", val_de="\n"), "val.en has no sentence"),
    "no gzip": (dict(train_de_gz=b"text", train_de=None), "not packed by gzip"),
    "cut gzip": (
        dict(
            train_de_gz=gzip.compress(os.urandom(999).hex().encode())[:500],
            train_de=None,
        ),
        "truncated or not packed",
    ),
    "columns": (dict(train_tsv="a\tb\nc\n"), "train.tsv, line 2, has 1 columns"),
    "column": (dict(train_tsv="a\t\n"), "line 1, is empty in one column"),
    "long line": (dict(train_en=b"a" * (1 << 21)), "a line of more than 1048576 bytes"),
    "few letters": (dict(), "do not fit into --vocabulary=9"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_told_with_file_and_line(tmp_path, case):
    changed, message = BAD[case]
    parallel(tmp_path, **{k: v for k, v in changed.items() if v is not None})
    for name in (name for name, text in changed.items() if text is None):
        (tmp_path / name.replace("_", ".")).unlink()
    with pytest.raises(UsageError, match=message) as error:
        translation.load("translation", tmp_path, vocabulary=9)
    assert "\n" not in str(error.value)


def test_bad_arguments_are_refused(tmp_path):
    for arguments, message in (
        (dict(languages=("en", "fr")), "are in English and German"),
        (dict(languages=("en",)), "must be two"),
        (dict(max_tokens=4096), "must be from 2 to 1024"),
        (dict(dataset="translation"), "needs --data_dir"),
        (dict(dataset="translation", data_dir=tmp_path / "no"), "is no folder"),
        (dict(dataset="translation", data_dir=tmp_path), "has no train.en"),
    ):
        with pytest.raises(UsageError, match=message):
            translation.load(**arguments)


def test_number_sentences_can_be_read_from_files(tmp_path, sample):
    number_sentences.main(tmp_path)
    assert sorted(p.name for p in pathlib.Path(tmp_path).iterdir()) == sorted(
        f"{split}.{k}" for split in number_sentences.SIZES for k in ("en", "de")
    )
    read = translation.load("translation", tmp_path, ("de", "en"), vocabulary=300)
    assert read.train.texts == sample.train.texts[::-1]
    assert set(read.tests) == {"test"}
    turned = translation.load(languages=("de", "en"))
    assert translation.checksum(turned) == translation.checksum(read)
    assert translation.checksum(turned) != translation.checksum(sample)
