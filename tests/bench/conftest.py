"""Fixtures of the harness's tests; what they are made of is in `harness`."""

from harness import faults, finished, fresh, resumed

__all__ = ["faults", "finished", "fresh", "resumed"]
