"""``key=value``, as Hydra's users know it, and the same for every command."""

from __future__ import annotations

import pytest

from bench.arguments import parse, split, texts, understood


def parsed(*arguments: str) -> dict:
    problems: list = []
    tree, deletions = parse(arguments, problems)
    assert not problems
    assert not deletions
    return tree


@pytest.mark.parametrize(
    ("argument", "tree"),
    [
        ("a=1", {"a": 1}),
        ("a=1e-3", {"a": 1e-3}),
        ("a=true", {"a": True}),
        ("a=null", {"a": None}),
        ("a=", {"a": None}),
        ("a=word", {"a": "word"}),
        ("a='1'", {"a": "1"}),
        ('a="x, y: z"', {"a": "x, y: z"}),
        ("a=[1,b,'c d']", {"a": [1, "b", "c d"]}),
        ("a=[[x,y],[x,z]]", {"a": [["x", "y"], ["x", "z"]]}),
        ("a={b: 1, c: {d: x}}", {"a": {"b": 1, "c": {"d": "x"}}}),
        ("a.b.c=1", {"a": {"b": {"c": 1}}}),
        ("a=b=c", {"a": "b=c"}),
        ("+a.b=1", {"a": {"b": 1}}),
        ("++a.b=1", {"a": {"b": 1}}),
        ("a=ü", {"a": "ü"}),
    ],
)
def test_values_are_read_as_hydra_reads_them(argument, tree):
    assert parsed(argument) == tree


def test_later_arguments_win_and_nest():
    assert parsed("a.b=1", "a.c=2", "a.b=3") == {"a": {"b": 3, "c": 2}}
    assert parsed("a=1", "a.b=2") == {"a": {"b": 2}}


def test_environment_variables_are_filled_in(monkeypatch):
    monkeypatch.setenv("DIGITS", "/data/mnist")
    assert parsed("data.root=${oc.env:DIGITS}") == {"data": {"root": "/data/mnist"}}


def test_words_and_pairs_are_told_apart():
    assert split(["check", "a=1", "~b", "kl"]) == (["check", "kl"], ["a=1", "~b"])


def test_what_is_text_stays_text():
    """A trial's key may look like a number."""
    pairs = ["explain=12e3", "+sync=true", "seeds=3", "~explain"]
    known = {"explain": "12e3", "sync": "true"}
    assert texts(pairs, ["explain", "sync"]) == (known, ["seeds=3", "~explain"])


def test_what_was_understood_is_said_path_by_path():
    arguments = ["study=x", "max_hours=1:30", "a.b=010", "a.c=[on, 'x # y']", "~metrics.cost"]
    assert understood(arguments) == [
        'study = "x"',
        'max_hours = "1:30"',
        "a.b = 10",
        'a.c = ["on", "x # y"]',
        "metrics.cost is left out",
    ]
