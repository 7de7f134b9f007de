"""Write the reference pages: ``python scripts/make_docs.py [--check]``.

``docs/study_file.md`` comes from the schema in ``bench/study/schema.py`` and from the budgets,
``docs/forms.md`` from the plugins that are part of this project; the words are those of their
docstrings, so that is where to change them. ``--check`` writes nothing, shows what would change and
exits with 1 if anything would. The optional dependencies of plugins must be installed.
"""

from __future__ import annotations

import argparse
import difflib
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import torch
import yaml
from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from bench.study.schema import Execution, Factors, StudyFile
from tvae import registry
from tvae.registry import Registry
from tvae.shapes import GREY_28, ImageShape
from tvae.space import Choice, Factor, Float, Int

ROOT = Path(__file__).resolve().parent.parent
BUDGETS = ROOT / "studies" / "budgets"
WIDTH = 100
DIMS = (10, 100)
"""Latent sizes at which P is told; claims are those at the first."""

SIZES = ((GREY_28, 10), (GREY_28, 100), (ImageShape(3, 32, 32), 10))
"""Images and latent sizes for which a network's weights are told."""

NOTE = "<!-- Written by scripts/make_docs.py: change the docstrings, not this page. -->"

FILLED = {"name": "the file's name", "arms": "required, or `factors`"}
"""Defaults of keys that are filled in before the schema is asked."""

WORDS = {registry.latent_transforms: "Form", registry.families: "Family"}
"""What plugins are called in headings, where that is not the kind's name."""

PLUGIN = "plugin: its name, or a mapping of `name` and options"
SIMPLE: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    dict: "mapping",
    Any: "anything",
}


# --- docstrings ---------------------------------------------------------------------------------


@dataclass
class Doc:
    """A class's docstring, taken apart.

    Attributes:
        summary: its first line.
        body: paragraphs between the summary and the sections.
        entries: of ``Args`` and ``Attributes``, name -> text.
        source: the paragraph that begins with ``Source:``, without that word; may be empty.
    """

    summary: str = ""
    body: list[str] = field(default_factory=list)
    entries: dict[str, str] = field(default_factory=dict)
    source: str = ""


def read(owner: type[Any]) -> Doc:
    """The docstring of a class."""
    text = inspect.getdoc(owner) or ""
    summary, _, rest = text.partition("\n")
    doc = Doc(summary)
    for block in re.split(r"\n\s*\n", rest.strip("\n")):
        first = block.partition("\n")[0]
        if first in ("Args:", "Attributes:"):
            doc.entries |= entries(block)
        elif block.startswith("Source: "):
            doc.source = " ".join(block.removeprefix("Source: ").split())
        elif block and not re.fullmatch(r"(Raises|Returns|Legend):", first):
            doc.body.append(" ".join(block.split()))
    return doc


def entries(block: str) -> dict[str, str]:
    """The entries of a section of a docstring: its heading, then ``name: text``, indented."""
    found: dict[str, list[str]] = {}
    for line in block.splitlines()[1:]:
        start = re.match(r" {4}(\w+): (.*)", line)
        if start:
            found[start[1]] = [start[2]]
        elif found:
            found[[*found][-1]].append(line.strip())
    return {name: " ".join(lines) for name, lines in found.items()}


# --- types in words -----------------------------------------------------------------------------


def words(hint: Any, metadata: Sequence[Any] = ()) -> str:
    """A type in words, with what limits it.

    Args:
        hint: a type annotation.
        metadata: of pydantic, where it stands apart from the annotation.
    """
    if get_origin(hint) is Annotated:
        base, *own = get_args(hint)
        return words(base, [*own, *metadata])
    metadata = [
        m for one in metadata for m in (one.metadata if isinstance(one, FieldInfo) else [one])
    ]
    takes = [m.func for m in metadata if isinstance(m, BeforeValidator)]
    if any(isinstance(taken(take, "x"), dict) for take in takes):
        return PLUGIN
    text = _plain(hint)
    limits = [limit for one in metadata if (limit := _limit(one))]
    ones = [taken(take, 1) for take in takes]
    if any(isinstance(one, dict) or one == [1, 1] for one in ones):
        limits.append("or one number for all")
    if any(isinstance(one, list) and one != [1, 1] for one in ones):
        limits.append("or how many")
    if any(isinstance(taken(take, "x"), list) for take in takes):
        limits.append("or one of them")
    return ", ".join([text, *limits])


def _plain(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        parts = [part for part in arguments if part is not NoneType]
        named = {str, Mapping[str, Any]} <= {*parts}
        text = PLUGIN if named else " or ".join(words(part) for part in parts)
        return f"{text}; or null" if NoneType in arguments else text
    if origin is Literal:
        *most, last = [f"`{option}`" for option in arguments]
        return f"{', '.join(most)} or {last}" if most else last
    if origin is tuple:
        parts = [part for part in arguments if part is not Ellipsis]
        return f"[{', '.join(words(part) for part in parts)}]"
    if origin is dict and arguments[1] is not Any:
        return f"mapping of names to: {words(arguments[1])}"
    if inspect.isclass(hint) and issubclass(hint, BaseModel):
        return "section"
    if origin is dict or origin is Mapping:
        return SIMPLE[dict]
    if origin is not None:  # a list or another sequence
        return f"list of: {words(arguments[0])}"
    return SIMPLE.get(hint) or f"`{getattr(hint, '__name__', hint)}`"


def taken(take: Callable[[Any], Any], given: Any) -> Any:
    """What a validator makes of a value; None where it refuses."""
    try:
        return take(given)
    except (TypeError, ValueError):
        return None


def _limit(one: Any) -> str:
    ends = ((Ge, "at least", "ge"), (Gt, "above", "gt"), (Le, "at most", "le"), (Lt, "below", "lt"))
    for kind, word, end in ends:
        if isinstance(one, kind):
            return f"{word} {_number(getattr(one, end))}"
    return "not empty" if isinstance(one, MinLen) else ""


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and value > 9999 else f"{value:g}"


def literal(value: Any) -> str:
    """A value as a study file writes it."""
    if isinstance(value, tuple):
        value = list(value)
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def searched(one: Float | Int | Choice | Factor | None) -> str:
    """Where tuning looks for a value."""
    if one is None:
        return "-"
    if isinstance(one, Choice):
        return ", ".join(literal(option) for option in one.options)
    ends = f"{_number(one.low)} to {_number(one.high)}"
    if isinstance(one, Factor):
        return f"default × {ends}, log"
    return f"{ends}, log" if isinstance(one, Float) and one.log else ends


# --- Markdown -----------------------------------------------------------------------------------


def escaped(text: str) -> str:
    """Text in which nothing but code is marked up."""
    pieces = re.split(r"(`[^`]+`)", re.sub(r"``(.+?)``", r"`\1`", text))
    for i in range(0, len(pieces), 2):
        plain = pieces[i].replace("<", "&lt;").replace("*", r"\*")
        pieces[i] = re.sub(r"(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])", r"\_", plain)
    return "".join(pieces)


def meaning(text: str) -> str:
    """What is said of an option, for people who write YAML."""
    return escaped(re.sub(r"\bNone\b", "null", text))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines
    )


def wrapped(text: str) -> str:
    """A paragraph in lines of at most `WIDTH`."""
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def page(*blocks: str) -> str:
    """A page of blocks, those that are empty left out."""
    return "\n\n".join(block for block in (NOTE, *blocks) if block) + "\n"


# --- docs/study_file.md -------------------------------------------------------------------------


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted path, value) of everything in a tree of mappings."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def budgets() -> dict[str, dict[str, Any]]:
    """Budget -> what it sets by dotted path, the cheapest first."""
    found = {}
    for path in sorted(BUDGETS.glob("*.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        for key in ("summary", "warning"):
            content[f"budget_{key}"] = content.pop(key, "")
        found[path.stem] = dict(flat(content))
    return dict(sorted(found.items(), key=lambda item: item[1]["trainer.steps"]))


def inner(hint: Any) -> tuple[type[BaseModel], str] | None:
    """The section that a field holds, if any, and the names that its path goes through."""
    if inspect.isclass(hint) and issubclass(hint, BaseModel):
        return hint, ""
    for part in get_args(hint):
        found = inner(part)
        if found:
            return found[0], (".NAME" if get_origin(hint) is dict else "") + found[1]
    return None


def sections(schema: type[BaseModel], prefix: str = "") -> dict[str, type[BaseModel]]:
    """Path -> section of those that a schema holds, itself first under the empty path."""
    found = {prefix: schema}
    for name, of in schema.model_fields.items():
        held = inner(of.annotation)
        if held:
            found |= sections(held[0], f"{prefix}.{name}{held[1]}".lstrip("."))
    return found


def keys(path: str, schema: type[BaseModel], set_by_all: set[str], known: dict[Any, str]) -> str:
    """The table of a section's keys.

    Args:
        path: of the section.
        schema: its class.
        set_by_all: paths that every budget sets.
        known: section -> path under which its keys are told.
    """
    meanings, rows = read(schema).entries, []
    for name, of in schema.model_fields.items():
        full = f"{path}.{name}".lstrip(".")
        kind, held = words(of.annotation, of.metadata), inner(of.annotation)
        if held:
            link = f"section [`{known[held[0]]}`](#{anchor(known[held[0]])})"
            kind = kind.replace("section", link)
        if name not in meanings:
            raise SystemExit(f"{schema.__name__}.{name} is not in the class's docstring")
        rows.append((f"`{full}`", kind, default(full, of, set_by_all), meaning(meanings[name])))
    return table(("key", "type", "default", "meaning"), rows)


def default(path: str, of: FieldInfo, set_by_all: set[str]) -> str:
    """The default of a field in words."""
    if path in FILLED:
        return FILLED[path]
    held = of.annotation
    needs = [path]
    if of.is_required() and inspect.isclass(held) and issubclass(held, BaseModel):
        needs = [f"{path}.{name}" for name, one in held.model_fields.items() if one.is_required()]
    if set(needs) <= set_by_all:
        return "the budget's"
    if of.is_required():
        return "required"
    if isinstance(of.default, BaseModel):
        return "its defaults"
    return literal(of.default)


def anchor(title: str) -> str:
    """The address of a heading as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def study_file() -> str:
    """The reference of a study file's keys."""
    of_budget = budgets()
    set_by_all = set.intersection(*(set(one) for one in of_budget.values()))
    every = {**sections(StudyFile), **sections(Factors)}
    every[""] = StudyFile
    known: dict[Any, str] = {}
    for path, schema in every.items():
        known.setdefault(schema, path)
    blocks = [
        "# Every key of a study file",
        wrapped(
            "[studies.md](studies.md) says how a study file works, this page what can stand in it. "
            "The same keys, as nested as they are, can be given on the command line: "
            "`data.size=full`. Unknown keys, and values of another type, are refused. "
            "“The budget's” is what the file of the budget sets, see [Budgets](#budgets); a study "
            "file and the command line go over it."
        ),
        "## The study",
        keys("", StudyFile, set_by_all, known),
        wrapped(
            "A study file may hold two keys more: `extends`, the name or path of a study that is "
            "merged below it, and `factors`, a crossing. " + escaped(" ".join(read(Factors).body))
        ),
        keys("", Factors, set_by_all, known),
    ]
    for path, schema in every.items():
        if path and known[schema] == path:
            doc = read(schema)
            text = " ".join([doc.summary, *doc.body])
            blocks += [
                f"## `{path}`",
                wrapped(escaped(text)),
                keys(path, schema, set_by_all, known),
            ]
    blocks += [
        "## `model`",
        wrapped(
            "`model.name` is one of these, the other keys are its options. A plugin's own options "
            "are on [forms.md](forms.md)."
        ),
        *described(registry.models),
        "## `metrics`",
        wrapped("Each name of `metrics` is one of these, its settings are the options."),
        *described(registry.metrics),
        "## Budgets",
        "What a budget sets, from `studies/budgets/`.",
        budget_table(of_budget),
        "## On the command line only",
        wrapped(f"{read(Execution).summary} These are no part of a study file."),
    ]
    inside = sections(Execution)
    own = {schema: path for path, schema in inside.items()}
    blocks.append(keys("", Execution, set(), own))
    for path, schema in inside.items():
        if path:
            blocks += [
                f"### `{path}`",
                escaped(read(schema).summary),
                keys(path, schema, set(), own),
            ]
    return page(*blocks)


def budget_table(of_budget: Mapping[str, Mapping[str, Any]]) -> str:
    """Everything that any budget sets."""
    paths = list(dict.fromkeys(path for one in of_budget.values() for path in one))
    rows = [
        (f"`{path}`", *(literal(one[path]) if path in one else "-" for one in of_budget.values()))
        for path in paths
    ]
    return table(("key", *(f"`{name}`" for name in of_budget)), rows)


# --- plugins ------------------------------------------------------------------------------------


def ours(plugins: Registry[Any]) -> list[str]:
    """The plugins of a kind that are part of this project, sorted."""
    return [
        name
        for name, origins in plugins.found.items()
        if len(origins) == 1 and plugins.origin(name).ours
    ]


def options(owner: Any, hidden: frozenset[str] = frozenset(registry.GIVEN)) -> str:
    """The table of a plugin's options; a sentence where it has none."""
    hints = registry.hints_of(owner)
    meanings, space = read(owner).entries, getattr(owner, "space", {})
    rows: list[tuple[str, ...]] = []
    for name, parameter in registry.options_of(owner).items():
        if name in hidden:
            continue
        given = parameter.default
        rows.append(
            (
                f"`{name}`",
                words(hints.get(name, Any)),
                "required" if given is parameter.empty else literal(given),
                searched(space.get(name)),
                meaning(meanings.get(name, "")),
            )
        )
    if not rows:
        return "No options."
    header = ("option", "type", "default", "tuning searches", "meaning")
    if not space:
        header, rows = header[:3] + header[4:], [row[:3] + row[4:] for row in rows]
    return table(header, rows)


def title(plugins: Registry[Any], name: str) -> str:
    """Of what is said of a plugin; two of different kinds may have one name."""
    return f"{WORDS.get(plugins, plugins.kind.capitalize())} `{name}`"


def link(plugins: Registry[Any], name: str) -> str:
    """To what is said of a plugin on the same page."""
    return f"[`{name}`](#{anchor(title(plugins, name))})"


def described(plugins: Registry[Any]) -> list[str]:
    """Blocks about the plugins of a kind: name, summary, options."""
    blocks = []
    for name in ours(plugins):
        owner = plugins.get(name)
        summary = wrapped(escaped(read(owner).summary))
        blocks += [f"### {title(plugins, name)}", summary, options(owner)]
    return blocks


# --- docs/forms.md ------------------------------------------------------------------------------


def forms() -> str:
    """The reference of all plugins that a model or a family option names."""
    return page(
        "# Forms, divergences, families, networks, likelihoods",
        wrapped(
            "All that is part of this project, in the words of the code. What they mean for the "
            "model is in [model.md](model.md), how to add one in [plugins.md](plugins.md). "
            "`python -m bench.plugins describe NAME` says the same of one, with what it costs on "
            "this machine, and of installed plugins, too."
        ),
        "## Forms of r(z, T)",
        wrapped(
            f"Claims are those at the default options and D = {DIMS[0]}; options may change "
            "them. P is how many numbers T has."
        ),
        table(
            ("form", "r(z, T)", "claims", *(f"P at D = {dim}" for dim in DIMS)),
            [form_row(name) for name in ours(registry.latent_transforms)],
        ),
        *(block for name in ours(registry.latent_transforms) for block in form_blocks(name)),
        "## Divergences",
        wrapped(
            "“Ties pairs”: whether, by default, it matters which z_1 goes with which z and T and "
            "nothing is below z_1 = r(z, T). The weight is the default one, in units of which a "
            "study gives `w_coherence` and `w_prior` ([the model](model.md#weights))."
        ),
        table(
            ("divergence", "summary", "ties pairs", *(f"weight at D = {dim}" for dim in DIMS)),
            [divergence_row(name) for name in ours(registry.divergences)],
        ),
        *blocks_of(registry.divergences),
        "## Families of image transformations",
        wrapped(
            "The inverse is `exact`, `assumed` (the second view is treated as if it were the "
            "inverse) or `none` (the relaxed form)."
        ),
        table(
            ("family", "summary", "inverse"),
            [family_row(name) for name in ours(registry.families)],
        ),
        *blocks_of(registry.families),
        "## Networks",
        wrapped(
            "Encoder and decoder. A model is built for the images of its study: which network can "
            "have them, it says itself. What is told are the weights of both halves for one number "
            "a pixel and channel; none is where the network refuses such images."
        ),
        table(
            ("network", "summary", *(f"weights, {shape}, D = {dim}" for shape, dim in SIZES)),
            [network_row(name) for name in ours(registry.networks)],
        ),
        *told_blocks(registry.networks),
        "## Likelihoods",
        wrapped(
            "p(x|z) of pixels. K is how many numbers of each pixel and channel it asks a decoder "
            "for. Nats of one likelihood say nothing beside those of another."
        ),
        table(
            ("likelihood", "summary", "K"),
            [
                (
                    link(registry.likelihoods, name),
                    escaped(registry.likelihoods.summary(name)),
                    str(registry.likelihoods.get(name).outputs),
                )
                for name in ours(registry.likelihoods)
            ],
        ),
        *told_blocks(registry.likelihoods),
    )


def form_row(name: str) -> tuple[str, ...]:
    """A form's line in the table."""
    plugins, made = registry.latent_transforms, []
    with torch.device("meta"):
        for dim in DIMS:
            made.append(plugins.make(name, dim))
    claims = ", ".join(sorted(made[0].claims)) or "none"
    sizes = [f"{form.parameter_size:,}" for form in made]
    return (link(plugins, name), escaped(plugins.summary(name)), claims, *sizes)


def form_blocks(name: str) -> list[str]:
    """What is said of a form below the table."""
    return told(registry.latent_transforms, name, frozenset({"self", "latent_dim"}))


def told_blocks(plugins: Registry[Any]) -> list[str]:
    """All that each plugin of a kind says of itself."""
    return [block for name in ours(plugins) for block in told(plugins, name)]


def told(
    plugins: Registry[Any], name: str, hidden: frozenset[str] = frozenset(registry.GIVEN)
) -> list[str]:
    """All that a plugin says of itself: the paragraphs, options, reference.

    Args:
        plugins: of its kind.
        name: of the plugin.
        hidden: options that are left out.
    """
    owner: Any = plugins.get(name)
    doc = read(owner)
    return [
        f"### {title(plugins, name)}",
        *(wrapped(escaped(paragraph)) for paragraph in (doc.summary, *doc.body)),
        options(owner, hidden),
        wrapped(f"Reference: {escaped(doc.source)}") if doc.source else "",
    ]


def network_row(name: str) -> tuple[str, ...]:
    """A network's line in the table."""
    network, weights = registry.networks.make(name), []
    for shape, dim in SIZES:
        if network.refuses(shape):
            weights.append("-")
            continue
        with torch.device("meta"):
            halves = network.encoder(shape, dim), network.decoder(shape, dim, shape.channels)
        weights.append(f"{sum(p.numel() for half in halves for p in half.parameters()):,}")
    summary = escaped(registry.networks.summary(name))
    return (link(registry.networks, name), summary, *weights)


def divergence_row(name: str) -> tuple[str, ...]:
    """A divergence's line in the table."""
    made = registry.divergences.make(name)
    return (
        link(registry.divergences, name),
        escaped(registry.divergences.summary(name)),
        "yes" if made.pairs else "no",
        *(f"{made.default_weight(dim):.3g}" for dim in DIMS),
    )


def family_row(name: str) -> tuple[str, ...]:
    """A family's line in the table."""
    made = registry.families.make(name)
    summary = escaped(registry.families.summary(name))
    inverse = made.inverse if made.has_views else "no views"
    return link(registry.families, name), summary, inverse


def blocks_of(plugins: Registry[Any]) -> list[str]:
    """Options and reference of each plugin of a kind."""
    blocks = []
    for name in ours(plugins):
        owner = plugins.get(name)
        source = read(owner).source
        blocks += [
            f"### {title(plugins, name)}",
            options(owner),
            wrapped(f"Reference: {escaped(source)}") if source else "",
        ]
    return blocks


# --- the command --------------------------------------------------------------------------------


def pages() -> dict[Path, str]:
    """Path of each page, relative to the repository -> its text."""
    return {Path("docs/study_file.md"): study_file(), Path("docs/forms.md"): forms()}


def stale(folder: Path = ROOT) -> list[str]:
    """Lines of a diff from the pages in `folder` to what they should be; empty: up to date."""
    lines: list[str] = []
    for path, text in pages().items():
        there = folder / path
        old = there.read_text(encoding="utf-8") if there.exists() else ""
        lines += difflib.unified_diff(
            old.splitlines(), text.splitlines(), str(path), f"{path}, from the code", lineterm=""
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or check them; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if they are stale")
    if parser.parse_args(arguments).check:
        lines = stale()
        print("\n".join(lines) or "the pages are up to date")
        return 1 if lines else 0
    for path, text in pages().items():
        (ROOT / path).write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
