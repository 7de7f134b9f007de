"""Tables as records: which of them turn when they are wide."""

from __future__ import annotations

from reports.cells import Cell, Table


def test_more_rows_than_arms_stay_rows():
    line = tuple(Cell(str(i)) for i in range(21))
    wide, tall = Table(line, (line,) * 3), Table(line, (line,) * 30)
    assert len(wide.long("arm").header) == 4
    assert tall.long("arm") is tall
    assert Table(line, ()).long("arm").rows == ()
