"""Reads parallel text: a sentence a line, the same line in both languages.

    train.en    train.de        what trains
    val.en      val.de          what is measured after each epoch
    test*.en    test*.de        optional, any number

Each may be packed by gzip (train.en.gz). Instead of two files a split may be one of two
columns, train.tsv or train.tsv.gz, in the order of the languages.
"""

import gzip
import pathlib
import zlib

from lng_keras._base.errors import UsageError

REQUIRED = ("train", "val")
_LONGEST_LINE = 1 << 20  # bytes; no sentence has as many, and a file of zeros has


def read_folder(folder, languages):
    """Reads the splits in a folder.

    Args:
        folder: path.
        languages: two strings, the endings of the files, such as `("en", "de")`.
    Returns:
        split -> `(sources, targets)`, two lists of str without the spaces around
        them: "train", "val", and the names of the test files. Lines that are empty
        on both sides are left out.
    Raises:
        UsageError: for a folder or language that is missing, files of unequal length,
            a line that is empty on one side, or one that is no UTF-8, with its number.
    """
    folder = pathlib.Path(folder).expanduser()
    if not folder.is_dir():
        raise UsageError(f"--data_dir={folder} is no folder; give one of train.en, ...")
    tests = {
        path.name.split(".")[0] for path in folder.glob("test*.*") if path.is_file()
    }
    return {
        split: _read_split(folder, split, languages)
        for split in (*REQUIRED, *sorted(tests))
    }


def _read_split(folder, split, languages):
    table = _found(folder, f"{split}.tsv")
    if table is not None:
        rows = [_columns(table, i, line) for i, line in _lines(table)]
        sides, names = list(zip(*rows, strict=True)), (table, table)
    else:
        names = [_found(folder, f"{split}.{language}") for language in languages]
        for language, path in zip(languages, names, strict=True):
            if path is None:
                raise UsageError(
                    f"{folder} has no {split}.{language}, {split}.{language}.gz or "
                    f"{split}.tsv; give --languages and --data_dir of parallel text"
                )
        sides = [[line for _, line in _lines(path)] for path in names]
        if len(sides[0]) != len(sides[1]):
            raise UsageError(
                f"{names[0]} has {len(sides[0])} lines and {names[1]} "
                f"{len(sides[1])}; line i of one must be line i of the other"
            )
    pairs = []
    for i, pair in enumerate(zip(*sides, strict=True) if sides else (), start=1):
        if any(pair) and not all(pair):
            empty = pair.index("")
            raise UsageError(
                f"{names[empty]}, line {i}, is empty"
                f"{' in one column' * (names[0] == names[1])}, and the other side is "
                "not; delete the pair or complete it"
            )
        if any(pair):
            pairs.append(pair)
    if not pairs:
        raise UsageError(f"{names[0]} has no sentence; give parallel text")
    return tuple(map(list, zip(*pairs, strict=True)))


def _found(folder, name):
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    return None


def _columns(path, number, line):
    columns = line.split("\t") if line.strip() else ["", ""]
    if len(columns) != 2:
        raise UsageError(
            f"{path}, line {number}, has {len(columns)} columns; a .tsv of pairs has "
            "two, a tab between them"
        )
    return [column.strip() for column in columns]


def _lines(path):
    """Yields the number, from 1, and the text of each line."""
    columns = ".tsv" in path.suffixes
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            for number, line in enumerate(iter(_bounded(file, path), b""), start=1):
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise UsageError(
                        f"{path}, line {number}, is no UTF-8 ({error.reason} at byte "
                        f"{error.start}); convert the file to UTF-8"
                    ) from error
                yield number, text.rstrip("\r\n") if columns else text.strip()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UsageError(
            f"{path} is truncated or not packed by gzip ({error}); copy it again"
        ) from error


def _bounded(file, path):
    def line():
        read = file.readline(_LONGEST_LINE + 1)
        if len(read) > _LONGEST_LINE:
            raise UsageError(
                f"{path} has a line of more than {_LONGEST_LINE} bytes; give text of a "
                "sentence a line"
            )
        return read

    return line
