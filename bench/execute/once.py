"""What is measured of a reference whatever the seed: once for all of its trials."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from bench.store import Measured
from tvae.evaluation.base import Context
from tvae.files import write_atomically


class Asked(Context):
    """A context that remembers whether somebody asked for its seed, since `asked` was false."""

    asked = False

    @property
    def seed(self) -> int:
        """See `Context.seed`."""
        self.asked = True
        return self._seed

    @seed.setter
    def seed(self, seed: int) -> None:
        self._seed = seed


def once(path: Path, context: Asked, measure: Callable[[], list[Measured]]) -> list[Measured]:
    """What `measure` gives, or gave to another seed where nothing in it asked for the seed.

    Of several processes that ask at once one measures and the others wait; should it be killed, the
    next takes its turn. What is not intact is measured again.

    Args:
        path: a file for this metric, these settings, data and model, whose folder is made.
        context: what `measure` looks at: a model that is the same for every seed.
        measure: measures one metric.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        intact, found = _read(path)
        if found is not None:
            return found
        if not intact:
            context.asked, before = False, len(context.outcomes)
            found = measure()
            # what is kept by original goes with a trial, not with this file
            own = context.asked or len(context.outcomes) > before
            write_atomically(path, json.dumps(None if own else found).encode())
            return found
    return measure()


def _read(path: Path) -> tuple[bool, list[Measured] | None]:
    """(whether the file is intact, what it holds: None where each seed has its own)."""
    from pydantic import TypeAdapter

    try:
        adapter = TypeAdapter(list[Measured] | None)
        return True, adapter.validate_json(path.read_bytes(), strict=True)
    except (OSError, ValueError):
        return False, None
