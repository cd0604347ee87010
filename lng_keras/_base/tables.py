"""Tables of text, for a terminal and for a notebook."""

import html
from collections.abc import Iterable, Iterator, Sequence


def aligned(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines of text in which the columns are as wide as their widest cell."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(w) for cell, w in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def as_html(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The same as a table of HTML."""

    def tr(cells, tag):
        inside = "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells)
        return f"<tr>{inside}</tr>"

    body = "".join(tr(cells, "td") for cells in rows)
    return f"<table>{tr(head, 'th')}{body}</table>"
