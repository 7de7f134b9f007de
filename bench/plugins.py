"""``python -m bench.plugins``: what can be plugged in, one in detail, a new one, a check of one."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from bench.console import console
from bench.plug.kinds import Request, add, check_options, known_kind, matches
from tvae.files import expanded
from tvae.registry import unknown_name

USAGE = """\
python -m bench.plugins list                  all plugins; what is wrong with broken ones
python -m bench.plugins describe NAME         equation, parameters, search space, cost
python -m bench.plugins new KIND NAME         a plugin to begin with, and its test: NAME.py and
                                              test_NAME.py in this folder
python -m bench.plugins check NAME            its contract: each law with its measured error

KIND is latent_transform, divergence, family, network, likelihood, model, metric or dataset.

key=value arguments:
  plugins=FILE.py   a plugin that is in no package (a list: [a.py,b.py])
  kind=KIND         of NAME, where plugins of two kinds share it
  folder=DIR        where new writes
  OPTION=VALUE      an option of the plugin that is described or checked, such as block=2
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 on success, 1 when a check fails, 2 when the input is at fault."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.plugins",
        description=USAGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = {"list": _list, "describe": _describe, "new": _new, "check": _check}
    parser.add_argument("command", choices=commands, metavar="list|describe|new|check")
    parser.add_argument("words", nargs="*", metavar="KIND NAME key=value")
    parsed = parser.parse_args(arguments)
    try:
        return commands[parsed.command](_request(parsed.command, parsed.words))
    except (ValueError, OSError) as error:
        console(stderr=True).print(f"bench.plugins: {error}")
        if error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        return 2


def read(arguments: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """(words, key=value settings) of a command line, the files of its ``plugins=`` added.

    Raises:
        ValueError: an argument that cannot be read, or a file that is no plugin.
    """
    from bench.arguments import parse, split
    from bench.study.problems import ConfigError, Problem

    problems: list[Problem] = []
    words, pairs = split(arguments)
    settings, deletions = parse(pairs, problems)
    problems += [Problem(f"~{path}", "there is nothing to delete here") for path in deletions]
    files = settings.pop("plugins", [])
    files = [files] if isinstance(files, str) else files
    if not isinstance(files, list):
        problems.append(Problem("plugins", f"must be a file or a list of files, got {files!r}"))
    if problems:
        raise ConfigError(problems)
    for file in files:
        add(str(file))
    return words, settings


def _request(command: str, words: list[str]) -> Request:
    names, options = read(words)
    kind, folder = options.pop("kind", None), expanded(str(options.pop("folder", ".")))
    if kind is not None:
        known_kind(kind)
    expected = {"list": 0, "new": 2}.get(command, 1)
    if len(names) != expected:
        takes = {0: "no name", 1: "the NAME of one plugin", 2: "a KIND and a NAME"}[expected]
        raise ValueError(f"{command} takes {takes}; given: {' '.join(names) or 'none'}")
    if options and command in ("list", "new"):
        raise unknown_name(f"argument of {command}:", next(iter(options)), ["plugins", "folder"])
    return Request(names, kind, folder, options)


def _list(request: Request) -> int:
    from bench.plug.list import show

    show()
    return 0


def _describe(request: Request) -> int:
    from bench.plug.describe import describe

    describe(request)
    return 0


def _new(request: Request) -> int:
    from bench.plug.new import new

    new(request)
    return 0


def _check(request: Request) -> int:
    from bench.plug.check import check
    from tvae.data import catalogue

    (name,) = request.words
    status = 0
    for kind, names in matches(request):
        if names is catalogue.datasets:
            catalogue.source(name)
        check_options(names, name, request.options)
        status = max(status, check(kind, name, request.options))
    return status


if __name__ == "__main__":
    sys.exit(main())
