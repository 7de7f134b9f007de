"""Imported by the fork server alone, after all else: it ends when it is done, without tidying up.

Taking torch down module by module takes seconds, for which whoever ends would wait: there is
nothing in a fork server that needs it.
"""

from __future__ import annotations

import atexit
import os


def _end(server: int) -> None:
    """End the process `server`, and none of those that it forks: they say how they ended."""
    if os.getpid() == server:
        os._exit(0)


atexit.register(_end, os.getpid())
