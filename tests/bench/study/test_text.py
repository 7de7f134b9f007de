"""YAML 1.2's core schema: what a file and a command line mean, and that what is written is read."""

from __future__ import annotations

import math
import re

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.study.text import dump, read, unreadable, value

# The regular expressions of the YAML 1.2.2 specification, Section 10.3.2, in its order.
SPECIFIED = (
    (r"null|Null|NULL|~", lambda text: None),
    (r"", lambda text: None),
    (r"true|True|TRUE|false|False|FALSE", lambda text: text.lower() == "true"),
    (r"[-+]?[0-9]+", int),
    (r"0o[0-7]+", lambda text: int(text[2:], 8)),
    (r"0x[0-9a-fA-F]+", lambda text: int(text[2:], 16)),
    (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", float),
    (r"[-+]?(\.inf|\.Inf|\.INF)", lambda text: float(text.replace(".", ""))),
    (r"\.nan|\.NaN|\.NAN", lambda text: math.nan),
)


def specified(text):
    for pattern, made in SPECIFIED:
        if re.fullmatch(pattern, text):
            return made(text)
    return text


def same(one, other):
    return repr(one) == repr(other)  # 1 is not 1.0 here, nor true, and nan is nan


TABLE = {
    # Examples 10.8 and 10.9 of the specification
    "null": None, "true": True, "True": True, "false": False, "FALSE": False,
    "0": 0, "0o7": 7, "0x3A": 58, "-19": -19,
    "0.": 0.0, "-0.0": -0.0, ".5": 0.5, "+12e03": 12000.0, "-2E+05": -200000.0,
    ".inf": math.inf, "-.Inf": -math.inf, "+.INF": math.inf, ".NAN": math.nan,
    # where YAML 1.1 differs
    "1:30": "1:30", "1:30:00": "1:30:00", "1:30.5": "1:30.5", "010": 10, "0o17": 15, "09": 9,
    "1_000": "1_000", "0b11": "0b11", "1e3": 1000.0, "1e-3": 0.001, "on": "on", "off": "off",
    "yes": "yes", "No": "No", "y": "y", "2024-01-01": "2024-01-01", "<<": "<<", "=": "=",
    "nan": "nan", "inf": "inf", "tRue": "tRue", "0x": "0x", "1.2.3": "1.2.3", "+": "+",
}  # fmt: skip


@pytest.mark.parametrize("text", TABLE)
def test_words_and_numbers_are_those_of_the_core_schema(text):
    assert same(specified(text), TABLE[text]), "the table is not what the specification says"
    assert same(value(text), TABLE[text])
    assert same(read(f"a: {text}\n"), {"a": TABLE[text]})
    assert same(read(f"- [{text}]\n- {{a: {text}}}\n"), [[TABLE[text]], {"a": TABLE[text]}])
    assert same(value(f"'{text}'"), text)
    assert same(value(f'"{text}"'), text)


@given(st.text("-+.0123456789eExXoOabtTrRuUfFlLnNiI_:~ ", max_size=8))
def test_any_word_is_what_the_specification_says(text):
    assert same(value(text), specified(text.strip()))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a # b", "a # b"),
        ("#1", "#1"),
        ("8 #hours", "8 #hours"),
        ("http://host:80/x: y", "http://host:80/x: y"),
        ("a: b", "a: b"),
        ("it's", "it's"),
        ('say "x"', 'say "x"'),
        ("- a", "- a"),
        ("*x", "*x"),
        ("&x", "&x"),
        ("!!int 3", "!!int 3"),
        ("%x", "%x"),
        ("@x", "@x"),
        ("|", "|"),
        ("> x", "> x"),
        ("? x", "? x"),
        ("a, b", "a, b"),
        ("a]", "a]"),
        ("'a # b'", "a # b"),
        ('"a\\tb"', "a\tb"),
        ("'it''s'", "it's"),
        ("[a b, 1:30, 010, 'x, y']", ["a b", "1:30", 10, "x, y"]),
        ("{a: 1_000, 'b c': [on]}", {"a": "1_000", "b c": ["on"]}),
        ("  7 ", 7),
    ],
)
def test_a_value_is_all_that_stands_behind_the_sign(text, meant):
    assert same(value(text), meant)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[1, 2] # two", "'# two' stands behind its end"),
        ("[1] 2", "2"),
        ("[1]]", "]"),
        ("'a' b", "b"),
        ('"a" #b', "'#b' stands behind its end"),
        ("[1", ""),
        ("{a: 1, a: 2}", "the key 'a' comes twice"),
        ("{1: a, '1': b}", "the key '1' comes twice"),
        ("[!!bool yes]", "neither true nor false"),
        ("[!!int 1:30]", ""),
        ("[!!float 1:30]", ""),
        ("[!!timestamp 2024-01-01]", ""),
        ("[!!python/name:os.system '']", ""),
        ("[*nobody]", ""),
        ("{[a]: 1}", ""),
    ],
)
def test_what_is_refused(text, why):
    with pytest.raises(unreadable(), match=re.escape(why) or None):
        value(text)
    if "#" not in text:
        with pytest.raises(unreadable()):
            read(f"a: {text}\n")


def test_a_key_that_comes_twice_is_refused_however_deep():
    with pytest.raises(yaml.YAMLError, match="the key 'a' comes twice"):
        read("x:\n  - {b: 1}\n  - a: 1\n    a: 1\n")


def test_interpolations_start_from_the_top_of_a_file(monkeypatch):
    monkeypatch.setenv("DIGITS", "/data")
    text = "a: {b: 3}\nc: ${a.b}\nd: ${oc.env:DIGITS}/x\n"
    assert read(text) == {"a": {"b": 3}, "c": 3, "d": "/data/x"}


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: "${" not in text)
    | st.sampled_from([*TABLE, "a: b", "a #b", "!x", "'", '"', "中文", "\u2028", "\x85"])
)
NAMES = st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: "${" not in text)
TREES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(NAMES, below, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@example({"1:30": ["1:30", "010", "on", "1e3", 1e3, "0o17", 0.1, 1e-7, 1e22, -math.inf, "\ufeff"]})
@given(TREES)
def test_what_is_written_is_read_alike_by_both_versions_of_yaml(tree):
    told = dump(tree)
    assert same(read(told), tree)
    assert same(yaml.safe_load(told), tree)
