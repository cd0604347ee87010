"""The declared tables of trainings: every run is one that train.py takes."""

import pytest

from experiments.machinery import runs, training_table
from experiments.tables import depth_width, memorized_by_norm, resnet_na, swap, vit
from zoo.training.flags import parse

pytestmark = pytest.mark.once(reason="parses flags")

MODULES = (resnet_na, vit, depth_width, memorized_by_norm)
TABLES = [*(module.TABLE for module in MODULES), *swap.TABLES.values()]
BUDGETS = [
    pytest.param(table, budget, id=f"{table.name}-{budget}")
    for table in TABLES
    for budget in table.schedules
]


def test_each_table_has_the_three_budgets():
    budgets = {}
    for table in TABLES:
        budgets.setdefault(table.name, []).extend(table.schedules)
    assert budgets == dict.fromkeys(budgets, ["smoke", "cpu", "full"])
    assert len(budgets) == 5


@pytest.mark.parametrize(("table", "budget"), BUDGETS)
def test_reference_pairs_and_beginnings_are_rows_of_the_table(table, budget):
    names = [row.name for row in table.rows]
    assert len(set(names)) == len({row.label for row in table.rows}) == len(names) > 1
    begun = {row.init for row in table.rows if row.init}
    pairs = {name for pair in table.pairs for name in pair}
    assert {table.reference, *pairs, *begun} <= set(names)
    assert all(first != second for first, second in table.pairs)


@pytest.mark.parametrize(("table", "budget"), BUDGETS)
def test_every_run_of_a_table_is_one_that_train_py_takes(table, budget):
    schedule, keys = table.schedules[budget], set()
    for row in table.rows:
        run = training_table.flags_of(row, schedule, schedule.rates[0], 0)
        for flags in (run, {**run, **schedule.tuning_flags}):
            settings, given = parse(["train.py", *runs.arguments(flags)])
            assert {name: getattr(settings, name) for name in flags} == flags
            assert given == set(flags)
        keys.add(runs.key({**row.flags, "of": row.init}))
    assert len(keys) == len(table.rows)  # no row says the same as another
