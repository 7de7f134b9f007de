"""What the contracts of all kinds share: the plugin under test, its cases, measured laws."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import pytest
import torch

from tvae.registry import Registry, defaults_of, options_of
from tvae.space import Choice, Factor, Float, Int

PROPERTY = "law"
"""Name of the pytest properties that hold what was measured."""


class Law(NamedTuple):
    """One law, measured.

    Attributes:
        name: what it says, a few words.
        error: what was measured.
        limit: the bound; the law holds where ``error <= limit`` (``>=`` for a `lower` bound).
        lower: whether the limit is a lower bound, as for a law that must *not* hold.
    """

    name: str
    error: float
    limit: float
    lower: bool = False

    @property
    def holds(self) -> bool:
        """Whether it does; a number that is not finite never does."""
        return self.error >= self.limit if self.lower else self.error <= self.limit

    def __str__(self) -> str:
        bound = "at least" if self.lower else "at most"
        return f"{self.name}: {self.error:.3g}, which must be {bound} {self.limit:.3g}"


class Contract:
    """The base of the contracts; subclass one of a kind and say which plugin.

    Attributes:
        plugin: the class under test, or the name that it is registered under.
        options: of its constructor; every one is tested.
        registry: the plugins of this kind.
    """

    plugin: ClassVar[str | type[Any]]
    options: ClassVar[Sequence[Mapping[str, Any]]] = ({},)
    registry: ClassVar[Registry[Any]]

    @classmethod
    def owner(cls) -> type[Any]:
        """The class under test.

        Raises:
            TypeError: the contract was not told which.
        """
        plugin = getattr(cls, "plugin", None)
        if plugin is None:
            raise TypeError(f"{cls.__name__} must say which plugin it tests: plugin = ...")
        if isinstance(plugin, str):
            return cls.registry.get(plugin)
        if not issubclass(plugin, cls.registry.abstract):
            raise TypeError(f"{plugin.__name__} does not derive from {cls.registry.base}")
        found: type[Any] = plugin
        return found

    @pytest.fixture(autouse=True)
    def _recorder(self, record_property: Callable[[str, object], None]) -> None:
        self._record = record_property

    def measured(self, name: str, error: float, limit: float, *, lower: bool = False) -> None:
        """Record a law and assert that it holds."""
        self.hold([Law(name, error, limit, lower)])

    def hold(self, laws: Sequence[Law]) -> None:
        """Record laws, all of them, and then assert that they hold."""
        # numpy's numbers are not plain enough for pytest-xdist to send
        laws = [Law(n, float(e), float(limit), bool(lower)) for n, e, limit, lower in laws]
        for law in laws:
            self._record(PROPERTY, tuple(law))
        broken = [str(law) for law in laws if not law.holds]
        assert not broken, "; ".join(broken)

    def test_the_class_says_what_it_is(self) -> None:
        """A summary in the first line of the docstring; tables show it."""
        doc = self.owner().__doc__
        assert doc, f"{self.owner().__name__} has no docstring"
        assert inspect.cleandoc(doc).partition("\n")[0].strip()

    def test_every_option_has_a_type(self) -> None:
        """Configurations are checked against the constructor's type hints."""
        for option in options_of(self.owner()).values():
            assert option.annotation is not option.empty, f"{option.name} has no type hint"

    def test_what_is_searched_is_an_option(self) -> None:
        """With a range that the tuner knows how to search."""
        known = options_of(self.owner())
        for option, searched in getattr(self.owner(), "space", {}).items():
            assert option in known, f"space names {option!r}, which is no option"
            kinds = (Float, Int, Choice, Factor)
            assert isinstance(searched, kinds), f"space[{option!r}] must be one of tvae.space"


def label(options: Mapping[str, Any]) -> str:
    """The options in a test's name; of what is no plain data, the type alone."""
    plain = (str, int, float, bool, type(None), tuple)
    words = (
        f"{name}={value if isinstance(value, plain) else type(value).__name__}"
        for name, value in options.items()
    )
    return ",".join(words) or "default"


def json_data(owner: type[Any], options: Mapping[str, Any]) -> None:
    """Assert that `options` and the defaults of the others come back from JSON as they went."""
    for name, value in {**defaults_of(owner), **options}.items():
        plain = list(value) if isinstance(value, tuple) else value
        assert json.loads(json.dumps(plain)) == plain, f"{name}={value!r} is no plain data"


def devices() -> list[torch.device]:
    """Where plugins are tried: the CPU and, where there is one, the GPU."""
    found = [torch.device("cpu")]
    if torch.cuda.is_available():
        found.append(torch.device("cuda"))
    return found
