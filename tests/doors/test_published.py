"""What README.md and results/README.md publish is what the records say."""

import csv
import pathlib
import re

import pytest

from experiments.catalog import TABLES
from experiments.machinery import render, statistics

pytestmark = pytest.mark.once(reason="reads Markdown and CSV")
ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
# <!-- table: NAME --> stands before a README table whose numbers are NAME's.
MARKED = re.findall(r"<!-- table: (\S+) -->\n\n((?:\|.*\n)+)", README)
# In results/README.md what was found in a table begins with its name: **`NAME`, ...
_, *FOUND = re.split(
    r"\n(?=\*\*`)",
    (ROOT / "results" / "README.md").read_text(),
)


@pytest.mark.parametrize(("name", "lines"), MARKED)
def test_numbers_of_the_readme_are_those_of_the_records(name, lines):
    runs = {}
    with open(ROOT / "results" / name / "table.csv", newline="") as file:
        for line in csv.DictReader(file):
            runs.setdefault(line["row"], []).append(line)
    module = __import__(TABLES[name.split("/")[0]], fromlist=["TABLE"])
    names = {row.label: row.name for row in module.TABLE.rows}
    rows = [
        [cell.strip(" *") for cell in line.strip("|").split("|")]
        for line in lines.splitlines()[2:]
    ]
    assert rows
    for label, test, train, n, parameters in rows:
        found = runs[names[label]]
        for shown, column in ((test, "test_accuracy"), (train, "train_accuracy")):
            summary = statistics.summarize([float(run[column]) for run in found])
            assert shown == render.percent(summary), (label, column)
        assert n == str(len(found)), label
        assert parameters == f"{int(found[0]['parameters']):,}", label


def test_the_readme_has_such_a_table():
    assert MARKED


def numbers(text):
    """Returns the means with their spread, and the differences with their interval."""
    text = " ".join(text.split())
    number = r"[+-]?\d+\.\d\d"
    differences = re.findall(rf"({number}) \[({number}), ({number})\]", text)
    means = re.findall(r"(\d+\.\d\d) ± (\d+\.\d\d)", text)
    return {tuple(map(float, found)) for found in (*means, *differences)}


def measured(tables):
    pages = (ROOT / "results" / name / "cpu" / "table.md" for name in tables)
    found = set().union(*(numbers(path.read_text()) for path in pages))
    # "Below it by 0.36 [0.24, 0.49]": the difference of the page from the other side.
    turned = {(-n[0], -n[2], -n[1]) for n in found if len(n) == 3}
    return found | turned


def test_numbers_told_in_the_readme_are_on_a_page_of_results():
    told = numbers(README)
    pages = measured(path.parts[-3] for path in ROOT.glob("results/*/cpu/table.md"))
    assert len(told) > 10
    assert told <= pages, told - pages


@pytest.mark.parametrize("text", FOUND, ids=lambda text: text.split("`")[1])
def test_numbers_told_of_a_table_are_on_its_page(text):
    # Another table may be named beside it, and compared with.
    named = dict.fromkeys(re.findall(r"`(\w+)`", text))
    tables = [name for name in named if (ROOT / "results" / name / "cpu").is_dir()]
    told = numbers(text)
    assert told <= measured(tables), told - measured(tables)


def test_what_was_found_is_told_of_each_table():
    told = {text.split("`")[1] for text in FOUND}
    assert told == {path.parts[-2] for path in ROOT.glob("results/*/cpu")}
