"""Numbers in words: as many digits as their interval warrants."""

from __future__ import annotations

import math

import pytest

from reports.words import number


@pytest.mark.parametrize(
    ("value", "resolution", "signed", "text"),
    [
        (0.8123, None, False, "0.812"),
        (1234567.0, None, False, "1,234,567"),
        (0.01234, 0.004, True, "+0.0123"),
        (92.345, 1.8, False, "92.3"),
        (0.0, None, False, "0"),
        (3.2e-12, None, False, "3.20e-12"),
        (math.nan, None, False, "n/a"),
    ],
)
def test_numbers_show_the_digits_that_their_interval_warrants(value, resolution, signed, text):
    assert number(value, resolution, signed=signed) == text
