"""Plugins by name: found, not listed.

A plugin is a class in one file. The file ``additive.py`` in a kind's folder is the plugin
``additive``; the class in it that derives from the kind's abstract class is what ``get`` returns.
Packages outside this repository add theirs through an entry-point group (``tvae.GROUP``, see
`Registry.group`), and `add_file` takes one file that is in no package. Of folders and entry points
nothing is imported before it is asked for, so names are known at once and a broken plugin disables
only itself.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar, cast, get_type_hints

from tvae.files import expanded

T = TypeVar("T")

Reference = str | Mapping[str, Any]
"""A plugin in a configuration: its name, or ``{"name": ..., option: value, ...}``."""


Choices = Sequence[str] | Mapping[str, Sequence[str]]
"""What a plugin decides where the paper is silent, in sentences with its options in braces; where
it depends on the part that it plays in a model, by that option of the model."""


GIVEN = ("seed", "image_shape")
"""Options of a model that the trial and its data decide, and no configuration holds."""


class UnknownName(ValueError):
    """A name that nothing is known by; the message lists the known names and a near match."""


class BrokenPlugin(ValueError):
    """A plugin that cannot be imported; the cause is chained, and other plugins are unaffected."""


class DuplicateName(ValueError):
    """Two plugins of one kind under one name; the message names both origins."""


def unknown_name(what: str, name: str, known: Iterable[str]) -> UnknownName:
    """The error for an unknown `name` of a `what`, with the nearest known name if one is near."""
    known = sorted(known)
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return UnknownName(f"unknown {what} {name!r}{hint} (known: {', '.join(known) or 'nothing'})")


def split(kind: str, reference: Reference) -> tuple[str, dict[str, Any]]:
    """(name, options) of a `reference` to a `kind`.

    Raises:
        ValueError: a mapping without a name.
    """
    if isinstance(reference, str):
        return reference, {}
    options = dict(reference)
    if "name" not in options:
        raise ValueError(f"the {kind} has no name, only {', '.join(options) or 'an empty mapping'}")
    return options.pop("name"), options


@dataclass(frozen=True)
class Origin:
    """Where a plugin of some name comes from: a module of ours, an entry point, or a file."""

    module: str
    entry_point: EntryPoint | None = None
    file: Path | None = None

    @property
    def ours(self) -> bool:
        """Whether it is part of this package."""
        return self.entry_point is None and self.file is None

    def __str__(self) -> str:
        if self.file is not None:
            return str(self.file)
        if self.entry_point is None:
            return self.module
        package = self.entry_point.dist.name if self.entry_point.dist else "an unnamed package"
        return f"{self.entry_point.value} ({package})"


def options_of(owner: Any) -> dict[str, inspect.Parameter]:
    """The options of a constructor by name, in its order.

    What takes anything is no option: a class without a constructor of its own may inherit that.
    """
    parameters = list(inspect.signature(owner.__init__).parameters.values())[1:]
    return {p.name: p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


def hints_of(owner: Any) -> dict[str, Any]:
    """Option -> the type that a constructor asks for, without what annotates it further."""
    return {name: hint for name, hint in get_type_hints(owner.__init__).items() if name != "return"}


def defaults_of(owner: Any) -> dict[str, Any]:
    """Option -> default, as plain data, of what a configuration holds."""
    return {
        name: list(option.default) if isinstance(option.default, tuple) else option.default
        for name, option in options_of(owner).items()
        if option.default is not option.empty and name not in GIVEN
    }


def choices_of(owner: Any, options: Mapping[str, Any], part: str = "") -> list[str]:
    """The sentences of a plugin's ``choices``, if it has any, with the values of its options.

    Args:
        owner: the plugin's class.
        options: all of them, defaults included.
        part: the option of the model that names it.
    """
    said: Choices = getattr(owner, "choices", ())
    of_part = said.get(part, ()) if isinstance(said, Mapping) else said
    return [sentence.format(**options) for sentence in of_part]


class Names:
    """What names of one kind there are, and where each comes from.

    Args:
        kind: what one is called in messages, such as ``"latent transform"``.
        group: the entry-point group through which packages add theirs.
        ours: name -> origin of those of this package, without importing them.
        offers: whether a loaded plugin file has one of this kind.
    """

    def __init__(
        self,
        kind: str,
        group: str,
        ours: Callable[[], dict[str, Origin]],
        offers: Callable[[ModuleType], bool],
    ) -> None:
        self.kind, self.group = kind, group
        self._ours, self._offers = ours, offers

    @cached_property
    def _installed(self) -> dict[str, list[Origin]]:
        found = {name: [origin] for name, origin in self._ours().items()}
        for point in entry_points(group=self.group):
            found.setdefault(point.name, []).append(Origin(point.module, point))
        return found

    @property
    def found(self) -> dict[str, list[Origin]]:
        """Name -> where it comes from, more than one where several claim it; sorted by name."""
        found = {name: list(origins) for name, origins in self._installed.items()}
        for path, module in _FILES.items():
            if self._offers(module):
                found.setdefault(path.stem, []).append(Origin(module.__name__, file=path))
        return dict(sorted(found.items()))

    def refresh(self) -> None:
        """Look again for what is installed; it is looked for once and remembered."""
        self.__dict__.pop("_installed", None)

    def names(self) -> list[str]:
        """The known names, sorted."""
        return list(self.found)

    def origin(self, name: str) -> Origin:
        """Where the plugin of that name comes from, without importing it.

        Raises:
            UnknownName: there is none.
            DuplicateName: there are two.
        """
        found = self.found
        if name not in found:
            raise unknown_name(self.kind, name, found)
        first, *others = found[name]
        if others:
            raise DuplicateName(
                f"two plugins claim the {self.kind} {name!r}: {first} and {others[0]}; rename one"
            )
        return first

    def load(self, origin: Origin, name: str) -> Any:
        """The object that an entry point names, or the module of any other origin.

        Raises:
            BrokenPlugin: it cannot be imported; the cause is chained.
        """
        with _importing(f"the {self.kind} {name!r} ({origin})"):
            if origin.entry_point is not None:
                return origin.entry_point.load()
            return importlib.import_module(origin.module)


@contextmanager
def _importing(what: str) -> Iterator[None]:
    """Within: whatever a plugin does when it is imported, it disables itself alone."""
    try:
        yield
    except SystemExit as error:  # a script with its main part unguarded; it would end us in silence
        cause = RuntimeError(f"it calls sys.exit({'' if error.code is None else error.code!r})")
        raise BrokenPlugin(f"{what} cannot be imported") from cause
    except Exception as error:
        raise BrokenPlugin(f"{what} cannot be imported") from error


class Registry(Names, Generic[T]):
    """The plugins of one kind.

    Args:
        kind: what one is called in messages, such as ``"latent transform"``.
        package: the folder that is scanned, such as ``"tvae.latent_transforms"``. Its module
            ``base`` holds the abstract class named `base`.
        base: the name of that abstract class.
        group: the entry-point group; None: named as the folder.
    """

    def __init__(self, kind: str, package: str, base: str, group: str | None = None) -> None:
        super().__init__(kind, group or package, self._scanned, lambda m: bool(self.classes(m)))
        self.package, self.base = package, base

    def _scanned(self) -> dict[str, Origin]:
        spec = importlib.util.find_spec(self.package)
        assert spec is not None
        return {
            module.name: Origin(f"{self.package}.{module.name}")
            for module in pkgutil.iter_modules(spec.submodule_search_locations)
            if module.name not in {"base", "compose"} and not module.name.startswith("_")
        }

    @property
    def abstract(self) -> type[T]:
        """The class that every plugin of this kind derives from."""
        module = importlib.import_module(f"{self.package}.base")
        return cast("type[T]", getattr(module, self.base))

    def classes(self, module: ModuleType) -> list[type[T]]:
        """The public classes of this kind that the module itself defines."""
        return [
            member
            for name, member in vars(module).items()
            if inspect.isclass(member)
            and issubclass(member, self.abstract)
            and member.__module__ == module.__name__
            and not name.startswith("_")
        ]

    def get(self, name: str) -> type[T]:
        """The class of that name.

        Raises:
            UnknownName: no such plugin.
            DuplicateName: two of that name.
            BrokenPlugin: its module cannot be imported or holds no class of this kind.
        """
        origin = self.origin(name)
        found = self.load(origin, name)
        classes = self.classes(found) if isinstance(found, ModuleType) else [found]
        abstract = self.abstract
        if len(classes) != 1 or not (
            inspect.isclass(classes[0]) and issubclass(classes[0], abstract)
        ):
            raise BrokenPlugin(
                f"the {self.kind} {name!r} ({origin}) must be one class derived from {self.base}"
            )
        return classes[0]

    def make(self, name: str, *args: Any, **options: Any) -> T:
        """An instance: ``get(name)(*args, **options)``.

        Raises:
            ValueError: an option that the plugin does not have, one that it needs and that is not
                given, or a value it refuses.
        """
        plugin = self.get(name)
        allowed = [*options_of(plugin)][len(args) :]
        for option in options:
            if option not in allowed:
                raise unknown_name(f"option of the {self.kind} {name!r}", option, allowed)
        try:
            inspect.signature(plugin).bind(*args, **options)
        except TypeError as error:
            raise ValueError(f"the {self.kind} {name!r} is {error}") from error
        return plugin(*args, **options)

    def build(self, reference: Reference, *args: Any) -> T:
        """An instance from configuration: a name, or a mapping of ``name`` and options.

        Raises:
            ValueError: as `make`, or a mapping without a name.
        """
        name, options = split(self.kind, reference)
        return self.make(name, *args, **options)

    def summary(self, name: str) -> str:
        """The first line of the plugin's docstring."""
        return (inspect.getdoc(self.get(name)) or "").partition("\n")[0]


latent_transforms: Registry[Any] = Registry(
    "latent transform", "tvae.latent_transforms", "LatentTransform"
)
divergences: Registry[Any] = Registry("divergence", "tvae.divergences", "Divergence")
families: Registry[Any] = Registry("transformation family", "tvae.families", "TransformationFamily")
networks: Registry[Any] = Registry("network", "tvae.networks", "Network")
likelihoods: Registry[Any] = Registry("likelihood", "tvae.likelihoods", "Likelihood")
models: Registry[Any] = Registry("model", "tvae.models", "Model")
metrics: Registry[Any] = Registry("metric", "tvae.evaluation", "Metric", group="tvae.metrics")

_FILES: dict[Path, ModuleType] = {}
"""Plugin files of this process and what importing them gave."""


def files() -> list[Path]:
    """The plugin files that `add_file` was given."""
    return list(_FILES)


def add_file(file: str | Path) -> None:
    """Make the plugins in one Python file known under the file's name, without packaging.

    The file may hold one class of each kind: ``spiral.py`` with a class derived from
    `LatentTransform` is the latent transform ``spiral``. It is imported now. It may import what is
    installed and modules beside it that are on Python's path.

    Raises:
        BrokenPlugin: there is no such file, its name is no plugin's name, it cannot be imported
            (the cause is chained), or it holds no plugin.
        DuplicateName: another file of that name has been added.
    """
    path = expanded(file).resolve()
    if path in _FILES:
        return
    if not path.is_file():
        raise BrokenPlugin(f"{file} is no file; give the path of one Python file with a plugin")
    if not re.fullmatch(r"[a-z][a-z0-9_]*\.py", path.name):
        raise BrokenPlugin(
            f"{file}: the file's name is the plugin's, in small letters, digits and _, then .py"
        )
    for other in _FILES:
        if other.stem == path.stem:
            raise DuplicateName(f"two plugin files are called {path.name}: {other} and {path}")
    # of its own, so that the file cannot take the place of an installed module
    name = f"plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as an import does, for dataclasses and whoever asks for its source
    try:
        with _importing(f"the plugin file {file}"):
            spec.loader.exec_module(module)
    except BrokenPlugin:
        del sys.modules[name]
        raise
    _FILES[path] = module
