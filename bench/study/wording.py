"""A validator's errors in our words, for the person who wrote the configuration."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel, ValidationError, create_model

from bench.study.problems import Problem
from bench.study.schema import Section
from bench.study.tree import Tree
from bench.study.uris import masked
from tvae import registry
from tvae.registry import GIVEN, unknown_name

WORDING = {
    "missing": "is missing",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of names to values",
    "mapping_type": "must be a mapping of names to values",
    "model_type": "must be a mapping of names to values",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "too_short": "must have {min_length} or more entries",
    "too_long": "must have {max_length} or fewer entries",
    "value_error": "{error}",
}
"""pydantic's kinds of error in our words."""


def validate(
    schema: type[Any], tree: Mapping[str, Any], problems: list[Problem], what: str = "key"
) -> Any:
    """The section, or None with what is wrong with it added to `problems`.

    Args:
        schema: of the section.
        tree: plain data.
        problems: see above.
        what: a field is called in messages.
    """
    try:
        # JSON has no tuples, so strict validation of JSON takes a list for one
        return schema.model_validate_json(json.dumps(tree))
    except ValidationError as error:
        # alternatives of one field fail one by one
        wrong: dict[tuple[str, str], dict[str, None]] = {}
        for entry in error.errors():
            path, message, got = _described(schema, entry, tree, what)
            wrong.setdefault((path, got), {})[message] = None
        problems += [
            Problem(path, " or ".join(messages) + got) for (path, got), messages in wrong.items()
        ]
    return None


def _described(schema: type[BaseModel], entry: Any, tree: Any, what: str) -> tuple[str, str, str]:
    """(path, what is wrong there, what was given) of one of pydantic's errors."""
    kind, location = entry["type"], entry["loc"]
    if kind == "extra_forbidden":
        fields = _fields(schema, location[:-1])
        message = str(unknown_name(what, str(location[-1]), fields))
        return ".".join(map(str, location)), message, ""
    message = WORDING.get(kind, entry["msg"][0].lower() + entry["msg"][1:])
    limits = {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in entry.get("ctx", {}).items()
    }
    message = message.format(**limits)
    path: list[str] = []
    for part in location:
        # past what was given, pydantic names the alternative that it tried
        if kind != "missing" and not isinstance(tree, Mapping | list):
            break
        path.append(str(part))
        tree = tree[part] if part in tree or isinstance(part, int) else None
    got = "" if kind in ("missing", "string_too_short") else f", got {shown(entry['input'])}"
    return ".".join(path), message, got


def shown(value: Any, most: int = 60) -> str:
    """What was given, as JSON, cut off where it is long."""
    text = masked(json.dumps(value, ensure_ascii=False))  # before it is cut
    return text if len(text) <= most else f"{text[:most]}..."


def _fields(schema: Any, location: Iterable[Any]) -> list[str]:
    """The fields of the (nested) section at a location of a validation error."""
    for part in location:
        field = getattr(schema, "model_fields", {}).get(part)
        if field is not None:
            schema = _section_in(field.annotation)
    return list(getattr(schema, "model_fields", {}))


def _section_in(annotation: Any) -> Any:
    """The section that an annotation speaks of, as deep inside as it may be, or None."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_section_in, get_args(annotation))), None)


@cache
def options_schema(owner: type[Any]) -> type[BaseModel]:
    """The options of a constructor as a schema, from its signature and type hints."""
    hints = registry.hints_of(owner)
    fields: Tree = {
        name: (hints.get(name, Any), ... if option.default is option.empty else option.default)
        for name, option in registry.options_of(owner).items()
        if name not in GIVEN
    }
    return create_model(owner.__name__, __base__=Section, **fields)
