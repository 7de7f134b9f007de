"""Fixtures of the harness's tests; what they are made of is in `harness`."""

from harness import faults, finished, fresh, resumed, tuned

__all__ = ["faults", "finished", "fresh", "resumed", "tuned"]
