"""What README.md publishes is what the records say."""

import csv
import pathlib
import re

import pytest

from experiments.catalog import TABLES
from experiments.machinery import render, statistics

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
# <!-- table: NAME --> stands before a README table whose numbers are NAME's.
MARKED = re.findall(r"<!-- table: (\S+) -->\n\n((?:\|.*\n)+)", README)


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


@pytest.mark.parametrize("page", ["README.md", "results/README.md"])
def test_means_told_in_the_text_are_on_a_page_of_results(page):
    text = " ".join((ROOT / page).read_text().split())
    told = set(re.findall(r"\d+\.\d\d ± \d+\.\d\d", text))
    pages = [path.read_text() for path in ROOT.glob("results/*/cpu/table.md")]
    measured = set(re.findall(r"\d+\.\d\d ± \d+\.\d\d", "\n".join(pages)))
    assert told
    assert told <= measured, sorted(told - measured)


def test_pictures_and_pages_of_the_readme_exist():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
