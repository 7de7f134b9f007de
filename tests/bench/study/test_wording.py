"""A validator's errors in our words."""

from __future__ import annotations

from bench.study.wording import WORDING


def test_the_wording_fills_in_what_pydantic_knows():
    for text in WORDING.values():
        text.format(expected="", ge=0, gt=0, le=0, lt=0, min_length=0, max_length=0, error="")
