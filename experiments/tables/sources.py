"""The tables whose rows the tables cost and robustness measure, and their names."""

from experiments.tables import resnet_na, vit

TABLES = (resnet_na.TABLE, vit.TABLE)


def selected(asking, only):
    """Returns the chosen rows as a list of (table, rows), every source table in turn.

    Args:
        asking: name of the table that asks, for the message.
        only: of names, or empty for all: a row in every table that has it ("ln"), all
            rows of a table ("vit"), or one row of one table ("vit/ln").

    Raises:
        ValueError: for a name that is none of these.
    """
    rows = [(table, row) for table in TABLES for row in table.rows]
    known = {name for table, row in rows for name in _names(table, row)}
    unknown = [name for name in only if name not in known]
    if unknown:
        raise ValueError(
            f"Table {asking} has no row {unknown[0]!r}. Its rows: "
            + "; ".join(
                f"{table.name}: {', '.join(row.name for row in table.rows)}"
                for table in TABLES
            )
            + ". Write TABLE, ROW or TABLE/ROW."
        )

    def is_wanted(table, row):
        return not only or not _names(table, row).isdisjoint(only)

    return [(t, [row for row in t.rows if is_wanted(t, row)]) for t in TABLES]


def _names(table, row):
    return {table.name, row.name, f"{table.name}/{row.name}"}
