"""All plugins, a table for each kind; what is wrong with broken ones."""

from __future__ import annotations

import traceback
from typing import Any

from rich.table import Column, Table
from rich.text import Text

from bench.console import console
from bench.plug.kinds import DIMS, KINDS, OURS, summary
from tvae import registry


def show() -> None:
    """Print them."""
    out = console()
    broken: list[Exception] = []
    for kind, names in KINDS.items():
        claims = kind == "latent_transform"
        table = Table(
            Column(kind, no_wrap=True),
            Column("summary", overflow="fold", ratio=3),
            *([Column("claims", overflow="fold", ratio=1)] if claims else []),
            Column("origin", overflow="fold", ratio=2),
            expand=True,
        )
        for name, origins in names.found.items():
            cells = ["", ""] if claims else [""]
            try:
                origin = names.origin(name)
                cells[0] = summary(names, name)
                if claims:
                    cells[1] = ", ".join(sorted(_claims(name)))
            except ValueError as error:
                cells[0] = f"NOT AVAILABLE: {error.__cause__ or error}"
                # a library that is not installed is no fault of the plugin's
                if not isinstance(error.__cause__, ModuleNotFoundError):
                    broken.append(error)
                origin = origins[0]
            table.add_row(name, *map(Text, cells), Text(OURS if origin.ours else str(origin)))
        out.print(table, soft_wrap=False)
    errors = console(stderr=True)
    for problem in broken:
        errors.print(str(problem))
        if problem.__cause__ is not None:
            errors.print("".join(traceback.format_exception(problem.__cause__)))


def _claims(name: str) -> frozenset[str]:
    """Of the form with its defaults, at the smallest usual latent size."""
    import torch

    with torch.device("meta"):
        made: Any = registry.latent_transforms.make(name, DIMS[0])
    claims: frozenset[str] = made.claims
    return claims
