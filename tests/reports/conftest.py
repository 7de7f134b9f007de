"""Fixtures of the report's tests; what they are made of is in `fabricated`."""

from fabricated import crossed, study

__all__ = ["crossed", "study"]
