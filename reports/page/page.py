"""Pages and parts of pages from this package's templates; every value in them is escaped."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

REPORT = "report.html"
"""The name of a study's page in its folder."""


def page(template: str, **values: object) -> str:
    """A page made from one of this package's templates, with its style and its one script."""
    from markupsafe import Markup

    here = Path(__file__).parent
    style = (here / "style.css").read_text(encoding="utf-8")
    script = (here / "script.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    return fragment(
        template, **values, style=Markup(style), script=Markup(script), policy=policy
    ).removesuffix("\n")


def fragment(template: str, **values: object) -> Markup:
    """A part of a page: the template's name is its path in this package."""
    from markupsafe import Markup

    return Markup(_environment().get_template(template).render(**values))


def replace(path: Path, content: bytes) -> None:
    """Write `content` so that a reader sees the old file or the new one, whole."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with fresh.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("reports", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,  # a part ends its last line itself, whatever it ends with
    )
    environment.filters["breakable"] = _breakable
    return environment


def _breakable(text: str) -> Markup:
    """The text, escaped, with leave to break its line after a slash, an underscore or a dot."""
    from markupsafe import Markup, escape

    return Markup(re.sub("([/_.])", r"\1<wbr>", str(escape(text))))
