"""How results show themselves: as a few lines of text, and as the same in HTML for notebooks.

A report is a list of lines, tables, and sparklines in tables; what a result says of itself is said
once, and both forms are made of that. Neither prints more than 30 lines, whatever the size of the
data: of many entries the largest few stay, and how many are left out is said.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from fastbias.checks import columns

__all__ = ["MOST", "WIDE", "Bar", "Cell", "Entries", "Report", "Shown", "Spark", "Table", "clipped",
           "cut", "features", "html", "series", "text", "vector"]

MOST = 30             # lines that are printed
LONG = 1000           # characters of a line
WIDE = 24             # of a name
LEAST = 9             # rows that a table keeps
FEW = 12              # entries that are shown as an array, where they have no names
BLOCKS = "▁▂▃▄▅▆▇█"
COLUMNS = 24          # of a sparkline or bar in text
SIZE = 120, 22        # of one in HTML, in pixels
INSIDE = 2            # of these, between a curve and the edge
BLUE = "#0072B2"      # of Okabe & Ito (2008), on white and on black


class Spark(NamedTuple):
    """A curve of values, one beside the other, in the space of a word; NaN leaves a gap."""

    values: np.ndarray


class Bar(NamedTuple):
    """A bar that is so long, of 1."""

    share: float


Cell = str | Spark | Bar


class Table(NamedTuple):
    """Rows of cells of equal number, under headings if there are any."""

    rows: Sequence[tuple[Cell, ...]]
    headings: tuple[str, ...] = ()


class Entries(NamedTuple):
    """The largest entries of a vector by their names: one line of text, in HTML a table."""

    what: str
    values: np.ndarray
    called: Callable[[int], str]

    def line(self) -> str:
        """All on one line."""
        return f"{self.what}: {columns.largest(self.values, self.called)}"

    def table(self) -> Table:
        """A row each, in the order of the entries."""
        flat = np.asarray(self.values, float).ravel()
        first = np.sort(columns.order(flat))
        rows: list[tuple[Cell, ...]] = [(clipped(self.called(i), WIDE), f"{flat[i]:.8g}")
                                        for i in first.tolist()]
        if flat.size > first.size:
            rows.append((f"… {flat.size - first.size} more", ""))
        return Table(rows, (self.what, ""))


Report = list[str | Table | Entries]


class Shown:
    """What shows itself: its report as text at a prompt and in print, as HTML in a notebook."""

    def _report(self) -> Report:
        raise NotImplementedError

    def __repr__(self) -> str:
        return text(self._report())

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return html(self._report())


def text(report: Report) -> str:
    """The report as lines, at most 30."""
    lines: list[str] = []
    for part in _fitting([part.line() if isinstance(part, Entries) else part for part in report]):
        lines += _aligned(part) if isinstance(part, Table) else map(clipped, part.split("\n"))
    if len(lines) > MOST:
        lines[MOST - 1:] = [f"… {len(lines) - MOST + 1} lines more"]
    return "\n".join(lines)


def html(report: Report) -> str:
    """The same as HTML: lines as paragraphs, sparklines as pictures; all text is escaped."""
    parts: list[str] = []
    for part in _fitting([part.table() if isinstance(part, Entries) else part for part in report]):
        if isinstance(part, Table):
            parts.append(_html_table(part))
        elif "\n" in part:
            parts.append(f"<pre>{escape(text([part]))}</pre>")
        else:
            line = escape(clipped(part))
            parts.append(f"<p>{line}</p>" if parts else f"<p><strong>{line}</strong></p>")
    return "\n".join(parts)


def vector(what: str, values: np.ndarray, names: Sequence[str] | None = None,
           classes: np.ndarray | None = None) -> Report:
    """A vector or matrix: whole where it is small and nameless, else its largest entries."""
    values = np.asarray(values)
    if values.size <= FEW and columns.entries(names, values.shape, classes) is None:
        return [f"{what}: {np.array2string(values, precision=8, threshold=FEW)}"]
    return [Entries(what, values, features(values.shape, names, classes))]


def features(shape: tuple[int, ...], names: Sequence[str] | None = None,
             classes: np.ndarray | None = None) -> Callable[[int], str]:
    """What each entry of a predictor is called: its column, else its place."""
    # with classes a row is of one of them, whatever columns are called
    if names is None and len(shape) == 2 and classes is not None and len(classes) == shape[0]:
        names = [f"x{j}" for j in range(shape[1])]
    known = columns.entries(names, shape, classes)

    def called(i: int) -> str:
        if known is not None:
            return known[i]
        return f"x{i}" if len(shape) == 1 else str([int(k) for k in np.unravel_index(i, shape)])
    return called


def clipped(line: str, length: int = LONG) -> str:
    """A line, at most so long."""
    return line if len(line) <= length else line[:length - 1] + "…"


def _fitting(report: list[str | Table]) -> list[str | Table]:
    """The report cut to at most 30 lines: its tables, the longest first, and then its end."""
    parts = list(report)
    for i in sorted(range(len(parts)), key=lambda i: -_height(parts[i])):
        table, over = parts[i], sum(map(_height, parts)) - MOST
        if over > 0 and isinstance(table, Table):
            parts[i] = cut(table, max(len(table.rows) - over, LEAST))
    dropped = 0
    while sum(map(_height, parts)) + (dropped > 0) > MOST and len(parts) > 1:
        dropped += _height(parts.pop())
    return [*parts, f"… {dropped} lines more"] if dropped else parts


def cut(table: Table, most: int) -> Table:
    """The table with at most so many rows, the last of them saying how many are left out."""
    if len(table.rows) <= most:
        return table
    left = f"… {len(table.rows) - most + 1} more"
    return Table([*table.rows[:most - 1], (left, *[""] * (len(table.rows[0]) - 1))],
                 table.headings)


def _height(part: str | Table) -> int:
    """Its lines."""
    return len(part.rows) + bool(part.headings) if isinstance(part, Table) else part.count("\n") + 1


def _aligned(table: Table) -> list[str]:
    """The lines of a table: its first column to the left, numbers to the right."""
    rows = [row for row in (table.headings, *table.rows) if row]
    cells = [[_word(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    pictures = [any(isinstance(row[j], Spark | Bar) for row in rows) for j in range(len(widths))]
    sides = [str.ljust if j == 0 or pictures[j] else str.rjust for j in range(len(widths))]
    return ["  " + "  ".join(side(cell, width) for side, cell, width
                             in zip(sides, row, widths, strict=True)).rstrip() for row in cells]


def _word(cell: Cell) -> str:
    if isinstance(cell, Spark):
        return _blocks(cell.values)
    if isinstance(cell, Bar):
        return "█" * round(COLUMNS * _share(cell))
    return cell.replace("\n", " ")


def _share(bar: Bar) -> float:
    return float(np.clip(np.nan_to_num(bar.share, nan=0.0), 0.0, 1.0))


def _heights(values: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the values, between 0 and 1; NaN where they are not finite."""
    values = np.asarray(values, float).ravel()
    if values.size > most:
        values = values[np.linspace(0, values.size - 1, most).round().astype(int)]
    finite = values[np.isfinite(values)]
    if not finite.size:
        return np.full(values.size, np.nan)
    low, high = float(finite.min()), float(finite.max())
    values = np.where(np.isfinite(values), values, np.nan)
    # (halves: the difference of the whole ones may itself be beyond float64)
    width = high / 2 - low / 2
    return (values / 2 - low / 2) / width if width > 0 else np.where(np.isnan(values), np.nan, 0.5)


def _blocks(values: np.ndarray) -> str:
    return "".join(" " if np.isnan(x) else BLOCKS[min(int(x * len(BLOCKS)), len(BLOCKS) - 1)]
                   for x in _heights(values, COLUMNS))


def _html_table(table: Table) -> str:
    def line(row: Sequence[Cell], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{_html_cell(cell)}</{tag}>" for cell in row) + "</tr>"
    head = [line(table.headings, "th")] if table.headings else []
    return "\n".join(["<table>", *head, *(line(row, "td") for row in table.rows), "</table>"])


def _html_cell(cell: Cell) -> str:
    width, height = SIZE
    if isinstance(cell, Bar):
        return _svg(f'<rect x="0" y="4" width="{width * _share(cell):.1f}" height="{height - 8}" '
                    f'fill="{BLUE}"/>')
    if isinstance(cell, Spark):
        y = _heights(cell.values, width)
        x = np.linspace(INSIDE, width - INSIDE, y.size) if y.size != 1 else np.array([width / 2])
        points = [(a, height - INSIDE - b * (height - 2 * INSIDE))
                  for a, b in zip(x, y, strict=True) if not np.isnan(b)]
        if len(points) == 1:
            return _svg(f'<circle cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="2" '
                        f'fill="{BLUE}"/>')
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        return _svg(f'<polyline points="{line}" fill="none" stroke="{BLUE}" stroke-width="1.5"/>')
    return escape(cell)


def _svg(inside: str) -> str:
    width, height = SIZE
    return f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}">{inside}</svg>'


def series(name: str, values: np.ndarray) -> tuple[Cell, ...]:
    """A row of a table: a name, the first and last of its values, and their curve."""
    if not values.size:
        return name, "", "", ""
    return name, f"{values[0]:.6g}", f"{values[-1]:.6g}", Spark(values)
