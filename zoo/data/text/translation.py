"""Parallel text as splits of ids, with the subwords that they are written in."""

import dataclasses
import hashlib

import numpy as np

from lng_keras._base.errors import UsageError
from zoo.data.text import number_sentences, parallel_files, subwords, token_batches

SAMPLE = "number_sentences"
VOCABULARY, SAMPLE_VOCABULARY = 8000, 300


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Sentences in two languages: their texts, and their ids without marks."""

    texts: tuple  # (sources, targets), lists of str
    ids: tuple  # (sources, targets), lists of int32 arrays

    def __len__(self):
        return len(self.ids[0])

    @property
    def lengths(self):
        """`(n,)` int: the longer side of each pair, with its mark of end or start."""
        sides = [np.array([len(ids) for ids in side]) for side in self.ids]
        return np.maximum(*sides) + 1

    def padded(self, indices, length):
        """Returns source, target and what follows each of the target's subwords.

        Args:
            indices: ints, of pairs of at most `length`.
            length: int, to which all are filled up by `subwords.PAD`.
        Returns:
            Three `(len(indices), length)` int32: the source with its end, the target
            behind its start, the target with its end.
        """
        shape = (len(indices), length)
        source, target, following = (
            np.full(shape, subwords.PAD, np.int32) for _ in range(3)
        )
        for row, i in enumerate(indices):
            a, b = self.ids[0][i], self.ids[1][i]
            source[row, : len(a) + 1] = *a, subwords.END
            target[row, : len(b) + 1] = subwords.START, *b
            following[row, : len(b) + 1] = *b, subwords.END
        return source, target, following


@dataclasses.dataclass(frozen=True)
class Translation:
    """Parallel text. Subwords were learnt from the training pairs alone."""

    name: str
    languages: tuple
    subwords: subwords.Subwords
    train: Pairs
    validation: Pairs
    tests: dict  # name -> Pairs
    skipped: dict  # split -> how many pairs were too long
    source: str  # one line: what it is and where it came from


def load(
    dataset=SAMPLE,
    data_dir=None,
    languages=("en", "de"),
    vocabulary=None,
    max_tokens=128,
    tokenizer=None,
):
    """Loads parallel text and writes it in subwords.

    Args:
        dataset: "number_sentences" (made, needs no file), or "translation": the files
            in `data_dir`, see parallel_files.py.
        data_dir: path or None.
        languages: two strings, from which and into which.
        vocabulary: int, subwords at most; None is 300 for the number sentences and
            8,000 otherwise.
        max_tokens: int up to 1024, subwords a side may have with its mark; pairs with
            more are skipped and counted, in every split.
        tokenizer: str, as `Subwords.text`, to use instead of learning one; or None.
    Raises:
        UsageError: if it is absent or unreadable, or all pairs are too long.
        ImportError: if the package `tokenizers` is not installed.
    """
    if len(languages) != 2 or languages[0] == languages[1]:
        raise UsageError(
            f"--languages={','.join(languages)} must be two, such as en,de: from which "
            "and into which"
        )
    longest = token_batches.LENGTHS[-1]
    if not 2 <= max_tokens <= longest:
        raise UsageError(f"--max_tokens={max_tokens} must be from 2 to {longest}")
    if dataset == SAMPLE:
        if sorted(languages) != sorted(number_sentences.LANGUAGES):
            raise UsageError(
                f"--languages={','.join(languages)}: the number sentences are in "
                "English and German; give en,de or de,en"
            )
        order = slice(None, None, 1 if languages[0] == "en" else -1)
        texts = {k: pair[order] for k, pair in number_sentences.make().items()}
        source = "number sentences in English and German, made from a seed"
    else:
        if not data_dir:
            raise UsageError(
                "--dataset=translation needs --data_dir, the folder of parallel text"
            )
        texts = parallel_files.read_folder(data_dir, languages)
        source = f"parallel text in {data_dir}"
    size = vocabulary or (SAMPLE_VOCABULARY if dataset == SAMPLE else VOCABULARY)
    if tokenizer is None:
        learnt = subwords.learn((s for side in texts["train"] for s in side), size)
    else:
        learnt = subwords.Subwords(tokenizer)
    splits, skipped = {}, {}
    for name, sides in texts.items():
        splits[name], skipped[name] = _encode(sides, learnt, max_tokens)
        if not len(splits[name]):
            raise UsageError(
                f"all {skipped[name]} pairs of {name} have more than {max_tokens} "
                "subwords; give a larger --max_tokens"
            )
    return Translation(
        name=dataset,
        languages=tuple(languages),
        subwords=learnt,
        train=splits.pop("train"),
        validation=splits.pop("val"),
        tests=splits,
        skipped=skipped,
        source=f"{source}, {languages[0]} to {languages[1]}, {len(learnt)} subwords",
    )


def checksum(data):
    """Returns the SHA-256 of all pairs and of the subwords, as hex."""
    digest = hashlib.sha256(data.subwords.text.encode())
    for pairs in (data.train, data.validation, *data.tests.values()):
        for side in pairs.texts:
            digest.update("\n".join((*side, "")).encode())
    return digest.hexdigest()


def _encode(sides, learnt, max_tokens):
    """Returns the `Pairs` that are short enough, and how many are not."""
    ids = [[np.array(i, np.int32) for i in learnt.encode(side)] for side in sides]
    kept = np.flatnonzero(Pairs(sides, tuple(ids)).lengths <= max_tokens)
    pairs = Pairs(*(tuple([side[i] for i in kept] for side in s) for s in (sides, ids)))
    return pairs, len(sides[0]) - len(kept)
