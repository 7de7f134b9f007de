"""``python -m bench.data``: which data sets there are, get one, check one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.arguments import parse, split, texts
from bench.console import console
from bench.study.problems import Problem
from tvae import data
from tvae.files import expanded
from tvae.registry import BrokenPlugin, unknown_name

USAGE = """\
python -m bench.data list                   the data sets, and where each was found
python -m bench.data fetch NAME             download or generate it into the cache
python -m bench.data verify NAME            read it all and print its digests

NAME may also be the path of images of your own, such as ./photos or faces.npz,
or "transformed(NAME)", variants of one of all these by AffNIST's law.

key=value arguments:
  root=FOLDER      a folder to look in first
  variants=N       images per original, of affnist (1; the full set has 32) and
                   transformed(NAME), or variants={train: N, test: M}; validation
                   has as many as test
of a path, as data.own of a study's file:
  size=N           pixels, or size=[H, W]; without it the images' own
  channels=1       grey, or 3: colour; without it the images' own
  fit=resize       or crop, or refuse (which it is): what becomes of other sizes
  validation=0.1   share of each class to tune on, of images that nobody has split
  test=0.2         share to test on
  seed=0           of that choice

The cache is tvae-bench in $XDG_CACHE_HOME or ~/.cache; without a home, in the folder for
temporary files.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 on success, 2 when the input or the data are at fault."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.data",
        description=USAGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=["list", "fetch", "verify"], metavar="list|fetch|verify")
    parser.add_argument("words", nargs="*", metavar="NAME key=value")
    parsed = parser.parse_args(arguments)
    try:
        name, root, options = _read(parsed.command, parsed.words)
        if parsed.command == "list":
            _list(root)
        elif parsed.command == "fetch":
            console().print(f"{name} is in {data.fetch(name, root, **options)}")
        else:
            _verify(name, root, options)
    except (ValueError, OSError) as error:
        console(stderr=True).print(f"bench.data: {error}")
        return 2
    return 0


def _read(command: str, words: list[str]) -> tuple[str, Path | None, dict[str, data.Option]]:
    """The name, the root and the options among the words of a command line."""
    wanted, given = split(words)
    if len(wanted) != (command != "list"):
        raise ValueError(
            f"{command} takes {'no name' if command == 'list' else 'the name of one data set'} "
            f"({', '.join(data.names())}); given: {' '.join(wanted) or 'none'}"
        )
    known = (
        {"root"} if command == "list" else {"root", *data.source(wanted[0]).options} - {"digest"}
    )
    pairs, others = texts(given, {"root"})
    problems: list[Problem] = []
    options, deleted = parse(others, problems)
    for name in [*options, *(f"~{name}" for name in deleted)]:
        if name not in known:
            raise unknown_name(f"argument of {' '.join([command, *wanted])}:", name, known)
    if problems:
        raise ValueError(problems[0])
    root = pairs.get("root")
    return "".join(wanted), None if root is None else expanded(root), options


def _list(root: Path | None) -> None:
    from rich.table import Column, Table
    from rich.text import Text

    if root is not None and not root.is_dir():
        raise ValueError(f"root={root} is no folder; pass one that holds the data")
    table = Table(
        Column("name", no_wrap=True),
        Column("train / validation / test", no_wrap=True),
        Column("pixels", no_wrap=True),
        Column("where", overflow="fold"),
    )
    for name in data.names():
        try:
            source = data.source(name)
            sizes = " / ".join(f"{size:,}" for size in source.sizes)
            table.add_row(name, sizes, str(source.shape), Text(_where(name, root)))
        except BrokenPlugin as error:
            table.add_row(name, "", "", Text(str(error)))
    console().print(table, soft_wrap=False)
    console().print(
        'Besides: the path of images of your own, and "transformed(NAME)" of each but AffNIST.',
        markup=False,
        highlight=False,
    )


def _where(name: str, root: Path | None) -> str:
    try:
        return str(data.source(name).locate(root))
    except data.MissingData:
        return f"missing: `python -m bench.data fetch {name}`, or root=FOLDER"


def _verify(name: str, root: Path | None, options: dict[str, data.Option]) -> None:
    for item, digest in data.available(name, root, **options).items():
        console().print(f"{digest}  {item}")
    loaded = data.load(name, root, download=False, **options)
    sizes = " / ".join(f"{len(s):,}" for s in (loaded.train, loaded.validation, loaded.test))
    console().print(f"{name} is intact: {sizes} images, digest {loaded.digest}")


if __name__ == "__main__":
    sys.exit(main())
