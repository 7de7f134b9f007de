"""A plugin to begin with, and its test."""

from __future__ import annotations

import re

from jinja2 import Environment, PackageLoader, StrictUndefined

from bench.console import console
from bench.plug.kinds import Request, known_kind


def new(request: Request) -> None:
    """Write a plugin that works, and its test.

    Raises:
        ValueError: no such kind, a name that cannot be one or is taken, or a file that is there.
    """
    kind, name = request.words
    names = known_kind(kind)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"{name!r} is no plugin's name: small letters, digits and _, as in a file")
    if name in names.names():
        raise ValueError(
            f"there is a {names.kind} {name!r} already ({names.found[name][0]}); choose another"
        )
    if not request.folder.is_dir():
        raise ValueError(f"folder={request.folder} is no folder")
    targets = [request.folder / f"{name}.py", request.folder / f"test_{name}.py"]
    for path in targets:
        if path.exists():
            raise ValueError(f"{path} is there already; nothing was written")
    environment = Environment(
        loader=PackageLoader("bench", "plug/skeletons"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # Python, not HTML; the name has been checked
    )
    title = "".join(part.title() for part in name.split("_"))
    for path, template in zip(targets, (f"{kind}.py.j2", f"test_{kind}.py.j2"), strict=True):
        text = environment.get_template(template).render(name=name, title=title)
        path.write_text(text)
        console().print(f"wrote {path}")
    plugins = f"plugins={targets[0]}"
    console().print("next:")
    console().print(f"  python -m bench.plugins check {name} {plugins}")
    console().print(f"  pytest {targets[1]}")
