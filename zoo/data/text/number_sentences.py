"""Number sentences: English and German pairs that are made, not collected.

python -m zoo.data.text.number_sentences FOLDER      # writes train.en, train.de, ...

Numbers from 0 to 999,999 in words, dates, times of the day and sums, drawn from one
seed, so that they are the same everywhere and nobody's. One number in ten from 100 on,
and one time of the day in ten, is held out: no training sentence has it, and every
sentence of the other splits has one.
"""

import pathlib
import sys

import numpy as np

from zoo.data.text.number_words import (
    english,
    english_ordinal,
    english_year,
    german,
    german_ordinal,
    german_year,
)

SEED = 28
SIZES = {"train": 12_000, "val": 500, "test": 500}  # pairs
LANGUAGES = ("en", "de")
_SMALLEST_HELD_OUT = 100  # smaller ones are what larger ones are made of
_MONTHS = {
    **{"January": "Januar", "February": "Februar", "March": "März", "April": "April"},
    **{"May": "Mai", "June": "Juni", "July": "Juli", "August": "August"},
    **{"September": "September", "October": "Oktober", "November": "November"},
    "December": "Dezember",
}
_SIGNS = {"plus": "plus", "minus": "minus", "times": "mal"}


def make(seed=SEED, sizes=None):
    """Returns split -> `(english sentences, german sentences)`.

    No pair is twice in any split.
    """
    sizes, splits = sizes or SIZES, {}
    rng = np.random.default_rng(seed)
    held_out_numbers = rng.random(1_000_000) < 0.1
    held_out_numbers[:_SMALLEST_HELD_OUT] = False
    held_out_times = rng.random(12 * 60) < 0.1
    seen = set()
    for split, size in sizes.items():
        pairs = []
        while len(pairs) < size:
            kind = _KINDS[rng.integers(len(_KINDS))]
            numbers, time, pair = kind(rng)
            new = any(held_out_numbers[n] for n in numbers) or (
                time is not None and bool(held_out_times[time])
            )
            if new == (split != "train") and pair not in seen:
                seen.add(pair)
                pairs.append(pair)
        splits[split] = tuple(map(list, zip(*pairs, strict=True)))
    return splits


def _any_number(rng):
    """A number whose count of digits is uniform, so that short ones are no rarity."""
    return int(rng.integers(10 ** rng.integers(1, 7)))


def _number(rng):
    n = _any_number(rng)
    return [n], None, (english(n), german(n))


def _date(rng):
    day = int(rng.integers(1, 29))
    month = list(_MONTHS)[rng.integers(12)]
    year = int(rng.integers(1100, 2100))
    pair = (
        f"on the {english_ordinal(day)} of {month} {english_year(year)}",
        f"am {german_ordinal(day)} {_MONTHS[month]} {german_year(year)}",
    )
    return [year], None, pair


def _time(rng):
    time = int(rng.integers(12 * 60))
    hour, minute = time // 60 + 1, time % 60
    after = hour % 12 + 1
    if minute == 0:
        pair = f"{english(hour)} o'clock", f"{german(hour, last=False)} Uhr"
    elif minute == 30:
        pair = f"half past {english(hour)}", f"halb {german(after)}"
    elif minute < 30:
        pair = (
            f"{_english_minutes(minute)} past {english(hour)}",
            f"{_german_minutes(minute)} nach {german(hour)}",
        )
    else:
        pair = (
            f"{_english_minutes(60 - minute)} to {english(after)}",
            f"{_german_minutes(60 - minute)} vor {german(after)}",
        )
    return [], time, (f"it is {pair[0]}", f"es ist {pair[1]}")


def _english_minutes(n):
    if n == 15:
        return "a quarter"
    return f"{english(n)} minute{'s' * (n > 1)}"


def _german_minutes(n):
    if n == 15:
        return "Viertel"
    return "eine Minute" if n == 1 else f"{german(n)} Minuten"


def _sum(rng):
    a, b = _any_number(rng), _any_number(rng)
    sign = list(_SIGNS)[rng.integers(3)]
    if sign == "plus":
        a, b = a % 10_000, b % 10_000
        result = a + b
    elif sign == "minus":
        a, b = sorted((a % 10_000, b % 10_000), reverse=True)
        result = a - b
    else:
        a, b = a % 100, b % 100
        result = a * b
    pair = (
        f"{english(a)} {sign} {english(b)} is {english(result)}",
        f"{german(a)} {_SIGNS[sign]} {german(b)} ist {german(result)}",
    )
    return [a, b, result], None, pair


# Each as often as it stands here.
_KINDS = (*[_number] * 10, *[_date] * 4, *[_sum] * 5, _time)


def main(folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for split, sides in make().items():
        for language, sentences in zip(LANGUAGES, sides, strict=True):
            path = folder / f"{split}.{language}"
            path.write_text("\n".join(sentences) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
