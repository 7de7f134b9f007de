"""Text -> plain data: YAML 1.2's core schema, in study files and on the command line.

YAML 1.1, which PyYAML speaks, reads 1:30 as 90, 010 as 8, 1_000 as 1000, ``on`` and ``no`` as truth
values and 2024-01-01 as a date; here they are texts (and 010 is 10), as in YAML 1.2 (Sec. 10.3).
A key that stands twice in a mapping is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from typing import Any

import yaml


class Core(yaml.SafeLoader):  # type: ignore[misc]
    """PyYAML's safe loader with the tags of the core schema and no others.

    It has no merge key: ``<<`` is a key like others.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # a class's own, not PyYAML's

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """The mapping, if no key comes twice."""
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            said = json.dumps({self.construct_object(key, deep=True): 0})  # 1 and "1" are one name
            if said in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} comes twice", key.start_mark
                )
            seen.add(said)
        found: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return found

    def construct_whole(self, node: yaml.ScalarNode) -> int:
        """A whole number: decimal, 0o octal or 0x hexadecimal."""
        text = str(self.construct_scalar(node))
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return int(text if base == 10 else text[2:], base)

    def construct_fraction(self, node: yaml.ScalarNode) -> float:
        """A number with a point, an exponent, infinite or none."""
        text = str(self.construct_scalar(node)).lower()
        return float(text.replace(".inf", "inf").replace(".nan", "nan"))

    def construct_truth(self, node: yaml.ScalarNode) -> bool:
        """True or false, and no other word for them."""
        text = str(self.construct_scalar(node)).lower()
        if text not in ("true", "false"):
            raise ValueError(f"{text!r} is neither true nor false")
        return text == "true"


_TAG = "tag:yaml.org,2002:"
for _name, _pattern, _first in (
    ("null", r"(?:null|Null|NULL|~|)", ["n", "N", "~", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)", list("tTfF")),
    ("int", r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)", list("-+0123456789")),
    (
        "float",
        r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))",
        list("-+.0123456789"),
    ),
):
    Core.add_implicit_resolver(f"{_TAG}{_name}", re.compile(rf"{_pattern}\Z"), _first)
Core.yaml_constructors = {
    tag: make
    for tag, make in yaml.SafeLoader.yaml_constructors.items()
    if tag in (None, *(f"{_TAG}{name}" for name in ("null", "str", "seq", "map")))
}
Core.add_constructor(f"{_TAG}bool", Core.construct_truth)
Core.add_constructor(f"{_TAG}int", Core.construct_whole)
Core.add_constructor(f"{_TAG}float", Core.construct_fraction)


class _Both(yaml.SafeDumper):  # type: ignore[misc]
    """Quotes every text that one of the two would not read as a text."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [
            *yaml.SafeDumper.yaml_implicit_resolvers.get(first, []),
            *Core.yaml_implicit_resolvers.get(first, []),
        ]
        for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *Core.yaml_implicit_resolvers}
    }


def _quoted(dumper: _Both, text: str) -> yaml.ScalarNode:
    """A text; in double quotes, where they are escaped, if it has odd line breaks."""
    style = '"' if set(text) & set("\r\x85\u2028\u2029") else None
    return dumper.represent_scalar(f"{_TAG}str", text, style=style)


_Both.add_representer(str, _quoted)


STRUCTURED = ("[", "{", '"', "'")
"""What a value that is more than a word or a number begins with."""


def read(text: str) -> Any:
    """The plain data in a YAML document.

    Raises:
        Exception: one of `unreadable`.
    """
    return plain(Core(text).get_single_data())


def value(text: str) -> Any:
    """What a person means by `text` after ``key=``: all of it, whatever is in it.

    A list, a mapping or a text in quotes is YAML; anything else is one word or number as it stands,
    with its spaces, colons and #.

    Raises:
        Exception: one of `unreadable`.
    """
    text = text.strip()
    if text[:1] not in STRUCTURED:
        loader = Core("")
        tag = loader.resolve(yaml.ScalarNode, text, (True, False))
        return plain(loader.construct_object(yaml.ScalarNode(tag, text)))
    loader = Core(text)
    node = loader.get_single_node()
    rest = text[node.end_mark.index :].strip()
    if rest:  # YAML's comment, which is none on a command line
        raise ValueError(f"{rest!r} stands behind its end; put all of it in quotes")
    return plain(loader.construct_document(node))


def dump(content: Any) -> str:
    """Plain data as YAML in the order of its keys; readers of 1.1 and 1.2 read it alike."""
    told: str = yaml.dump(content, Dumper=_Both, sort_keys=False, allow_unicode=True)
    return told


def unreadable() -> tuple[type[Exception], ...]:
    """What reading text may raise."""
    from omegaconf.errors import OmegaConfBaseException

    return (
        OSError,
        ValueError,  # not UTF-8; a number that is too long
        TypeError,  # what JSON does not have
        RecursionError,
        yaml.YAMLError,
        OmegaConfBaseException,
    )


def plain(content: Any) -> Any:
    """Interpolations resolved; only what JSON has: a key is text, no dates, no bytes."""
    told = json.dumps(content)
    if "${" in told:
        from omegaconf import OmegaConf  # slow to import, and few need it

        # a study file's interpolations start from its top
        content = json.loads(told)
        alone = not isinstance(content, dict)
        config = OmegaConf.create({"value": content} if alone else content)
        resolved: Any = OmegaConf.to_container(config, resolve=True)
        told = json.dumps(resolved["value"] if alone else resolved)
    return json.loads(told)


def reason(error: Exception) -> str:
    """Why text could not be read, in one line."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return f"{error.problem} (line {mark.line + 1}, column {mark.column + 1})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())
