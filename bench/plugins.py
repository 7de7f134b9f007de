"""``python -m bench.plugins``: what can be plugged in, one in detail, a new one, a check of one."""

from __future__ import annotations

import argparse
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_type_hints

from tvae import registry
from tvae.data import catalogue
from tvae.registry import BrokenPlugin, Names, Origin, Registry, UnknownName, unknown_name

USAGE = """\
python -m bench.plugins list                  all plugins; what is wrong with broken ones
python -m bench.plugins describe NAME         equation, parameters, search space, cost
python -m bench.plugins new KIND NAME         a plugin to begin with, and its test: NAME.py and
                                              test_NAME.py in this folder
python -m bench.plugins check NAME            its contract: each law with its measured error

KIND is latent_transform, divergence, family, metric or dataset.

key=value arguments:
  plugins=FILE.py   a plugin that is in no package (a list: [a.py,b.py])
  kind=KIND         of NAME, where plugins of two kinds share it
  folder=DIR        where new writes
  OPTION=VALUE      an option of the plugin that is described or checked, such as block=2
"""

KINDS: Mapping[str, Names] = MappingProxyType(
    {
        "latent_transform": registry.latent_transforms,
        "divergence": registry.divergences,
        "family": registry.families,
        "metric": registry.metrics,
        "dataset": catalogue.datasets,
    }
)
"""Kinds that can be plugged in, by the word for one."""

OURS = "tvae-bench"
"""Origin of plugins that are part of this project."""

DIMS = (10, 100)
"""Latent sizes at which costs are told."""


def add(file: str) -> None:
    """Make the plugins in one Python file known, see `tvae.registry.add_file`.

    Raises:
        BrokenPlugin: it cannot be read or imported, or holds no plugin.
        DuplicateName: another file of that name has been added.
    """
    registry.add_file(file)
    path = Path(file).expanduser().resolve()
    if not any(path == o.file for kind in KINDS.values() for os in kind.found.values() for o in os):
        bases = ", ".join(k.base for k in KINDS.values() if isinstance(k, Registry))
        raise BrokenPlugin(
            f"{file} holds no plugin: no public class derived from {bases}, and no instance of "
            "tvae.data.Source"
        )


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
        print(f"bench.plugins: {error}", file=sys.stderr)
        if error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        return 2


@dataclass(frozen=True)
class Request:
    """What a person typed.

    Attributes:
        words: those without ``=``.
        kind: of ``kind=``, or None.
        folder: of ``folder=``.
        options: of the plugin, plain data.
    """

    words: list[str]
    kind: str | None = None
    folder: Path = Path()
    options: dict[str, Any] = field(default_factory=dict)


def read(arguments: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """(words, key=value settings) of a command line, the files of its ``plugins=`` added.

    Raises:
        ValueError: an argument that cannot be read, or a file that is no plugin.
    """
    from bench.study.files import parse_overrides
    from bench.study.schema import ConfigError, Problem

    problems: list[Problem] = []
    pairs = [argument for argument in arguments if "=" in argument or argument.startswith("~")]
    settings, deletions = parse_overrides(pairs, problems)
    problems += [Problem(f"~{path}", "there is nothing to delete here") for path in deletions]
    files = settings.pop("plugins", [])
    files = [files] if isinstance(files, str) else files
    if not isinstance(files, list):
        problems.append(Problem("plugins", f"must be a file or a list of files, got {files!r}"))
    if problems:
        raise ConfigError(problems)
    for file in files:
        add(str(file))
    return [argument for argument in arguments if argument not in pairs], settings


def _request(command: str, words: list[str]) -> Request:
    names, options = read(words)
    kind, folder = options.pop("kind", None), Path(str(options.pop("folder", "."))).expanduser()
    if kind is not None:
        _known_kind(kind)
    expected = {"list": 0, "new": 2}.get(command, 1)
    if len(names) != expected:
        takes = {0: "no name", 1: "the NAME of one plugin", 2: "a KIND and a NAME"}[expected]
        raise ValueError(f"{command} takes {takes}; given: {' '.join(names) or 'none'}")
    if options and command in ("list", "new"):
        raise unknown_name(f"argument of {command}:", next(iter(options)), ["plugins", "folder"])
    return Request(names, kind, folder, options)


def _check_options(names: Names, name: str, options: Mapping[str, Any]) -> None:
    """Raise what is wrong with the options of one plugin, before it is made.

    Raises:
        ConfigError: an option that there is not, or a value of another type.
        ValueError: a value that the plugin refuses.
    """
    from bench.study.check import options_schema, validate
    from bench.study.schema import ConfigError, Problem

    problems: list[Problem] = []
    if isinstance(names, Registry):
        owner: Any = names.get(name)
        schema = options_schema(owner)
        needed = {"latent_dim": DIMS[0]} if "latent_dim" in schema.model_fields else {}
        what = f"option of the {names.kind} {name!r}:"
        if validate(schema, {**needed, **options}, problems, what) and not needed:
            owner(**options)  # what a form refuses depends on D
    elif options:
        problems.append(Problem(next(iter(options)), f"the {names.kind} {name!r} takes none here"))
    if problems:
        raise ConfigError(problems)


def _known_kind(kind: str) -> Names:
    if kind not in KINDS:
        raise unknown_name("kind", kind, KINDS)
    return KINDS[kind]


def _matches(request: Request) -> list[tuple[str, Names]]:
    """(kind, its plugins) of all that have the name asked for."""
    (name,) = request.words
    kinds = KINDS if request.kind is None else {request.kind: _known_kind(request.kind)}
    found = [(kind, names) for kind, names in kinds.items() if name in names.names()]
    if not found:
        raise unknown_name(
            "plugin" if request.kind is None else request.kind,
            name,
            {known for names in kinds.values() for known in names.names()},
        )
    return found


# --- list ---------------------------------------------------------------------------------------


def _list(request: Request) -> int:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    console = Console(highlight=False)
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
                broken.append(error)
                cells[0] = f"NOT AVAILABLE: {error.__cause__ or error}"
                origin = origins[0]
            table.add_row(name, *map(Text, cells), Text(OURS if origin.ours else str(origin)))
        console.print(table)
    errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    for problem in broken:
        errors.print(str(problem))
        if problem.__cause__ is not None:
            errors.print("".join(traceback.format_exception(problem.__cause__)))
    return 0


def _told(origin: Origin) -> str:
    return f"{OURS} ({origin})" if origin.ours else str(origin)


def summary(names: Names, name: str) -> str:
    """One line about a plugin of any kind.

    Raises:
        ValueError: it cannot be imported, or two claim its name.
    """
    if isinstance(names, Registry):
        return names.summary(name)
    return catalogue.source(name).summary


def _claims(name: str) -> frozenset[str]:
    """Of the form with its defaults, at the smallest usual latent size."""
    import torch

    with torch.device("meta"):
        made: Any = registry.latent_transforms.make(name, DIMS[0])
    claims: frozenset[str] = made.claims
    return claims


# --- describe -----------------------------------------------------------------------------------


def _describe(request: Request) -> int:
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=True)
    (name,) = request.words
    for i, (kind, names) in enumerate(_matches(request)):
        if i:
            console.print()
        console.print(f"{name}: a {names.kind}, from {_told(names.origin(name))}")
        if not isinstance(names, Registry):
            _describe_data(name, console)
            continue
        owner: Any = names.get(name)
        _check_options(names, name, request.options)
        console.print(f"\n{inspect.getdoc(owner)}\n")
        _describe_options(owner, console)
        costs = {
            "latent_transform": _form_costs,
            "divergence": _divergence_costs,
            "family": _family_costs,
        }
        if kind in costs:
            console.print("what it costs")
            for line in costs[kind](name, request.options):
                console.print(f"  {line}")
    return 0


def _describe_data(name: str, console: Any) -> None:
    source = catalogue.source(name)
    sizes = " / ".join(f"{size:,}" for size in source.sizes)
    console.print(f"\n{source.summary}\n")
    console.print(f"train / validation / test  {sizes}")
    console.print(f"pixels                     {source.pixels} x {source.pixels}")
    console.print(f"options                    {', '.join(sorted(source.options)) or 'none'}")


def _describe_options(owner: Any, console: Any) -> None:
    hints = get_type_hints(owner.__init__)
    parameters = list(inspect.signature(owner.__init__).parameters.values())[1:]
    options = [
        p
        for p in parameters
        if p.name != "latent_dim" and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    console.print("options")
    for option in options:
        hint = hints.get(option.name, Any)
        kind = hint.__name__ if inspect.isclass(hint) else str(hint).replace("typing.", "")
        default = "" if option.default is option.empty else f" = {option.default!r}"
        console.print(f"  {option.name}: {kind}{default}")
    if not options:
        console.print("  none")
    console.print("search space")
    for option_name, searched in getattr(owner, "space", {}).items():
        console.print(f"  {option_name}: {searched}")
    if not getattr(owner, "space", {}):
        console.print("  nothing is tuned")


def _form_costs(name: str, options: dict[str, Any]) -> list[str]:
    """Of a form in the T_VAE of the paper, at each of `DIMS`."""
    import torch

    from tvae.networks import PairNetwork

    lines = []
    for dim in DIMS:
        try:
            form = registry.latent_transforms.make(name, dim, **options)
        except UnknownName:
            raise
        except ValueError as error:
            lines.append(f"D = {dim}: not with these options ({error})")
            continue
        size, batch = form.parameter_size, 100
        own = sum(p.numel() for p in form.parameters())
        with torch.device("meta"):
            inferring = sum(p.numel() for p in PairNetwork(dim, size).parameters())
        z = torch.randn(batch, dim)
        t = (form.identity() + 0.1 * torch.randn(batch, size)).requires_grad_()

        def step(form: Any = form, z: Any = z, t: Any = t) -> None:
            (form(z, t).square().sum() + form.inverse(z, t).square().sum()).backward()

        lines.append(
            f"D = {dim}: P = {size:,}; parameters of r {own:,}, of h_xi {inferring:,}; "
            f"r and its inverse with gradients, batch of {batch}: {_milliseconds(step):.3g} ms"
        )
    return lines


def _divergence_costs(name: str, options: dict[str, Any]) -> list[str]:
    """Of one estimate as coherence, T of the size of z."""
    import torch

    from tvae.divergences.base import Side

    divergence = registry.divergences.make(name, **options)
    lines = []
    for dim in DIMS:
        mean = torch.randn(100, dim, requires_grad=True)
        noise, r, z, t = torch.randn(4, 100, dim)

        def step(mean: Any = mean, noise: Any = noise, r: Any = r, z: Any = z, t: Any = t) -> None:
            q = Side.gaussian(mean, torch.full_like(mean, -2.0), noise)
            divergence(q, Side(r), {"z": z, "T": t}).backward()

        lines.append(
            f"D = {dim}: one estimate with gradients, batch of 100: {_milliseconds(step):.3g} ms"
        )
    return lines


def _family_costs(name: str, options: dict[str, Any]) -> list[str]:
    """Of the two views; a family knows nothing of D."""
    import torch

    family = registry.families.make(name, **options)
    x, generator = torch.rand(100, 1, 28, 28), torch.Generator().manual_seed(0)
    took = _milliseconds(lambda: family.views(x, generator))
    return [f"two views of 100 images of 28 x 28, at any D: {took:.3g} ms"]


def _milliseconds(step: Callable[[], object]) -> float:
    """The median of a few runs after one that warms up, on one thread."""
    import time
    from statistics import median

    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = []
        for _ in range(6):
            began = time.perf_counter()
            step()
            times.append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(threads)
    return 1000 * median(times[1:])


# --- new ----------------------------------------------------------------------------------------


def _new(request: Request) -> int:
    import re

    from jinja2 import Environment, PackageLoader, StrictUndefined

    kind, name = request.words
    names = _known_kind(kind)
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
        print(f"wrote {path}")
    plugins = f"plugins={targets[0]}"
    print("next:")
    print(f"  python -m bench.plugins check {name} {plugins}")
    print(f"  pytest {targets[1]}")
    return 0


# --- check --------------------------------------------------------------------------------------


def _check(request: Request) -> int:
    from bench.plug.check import check

    (name,) = request.words
    status = 0
    for kind, names in _matches(request):
        if names is catalogue.datasets:
            catalogue.source(name)
        _check_options(names, name, request.options)
        status = max(status, check(kind, name, request.options))
    return status


if __name__ == "__main__":
    sys.exit(main())
