"""Fixtures of the report's tests; what they are made of is in `fabricated` and `written`."""

from tests.reports.fabricated import crossed, study
from tests.reports.written import write

__all__ = ["crossed", "study", "write"]
