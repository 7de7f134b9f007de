"""What a trial's numbers depend on, hashed: the training key and the evaluation key.

Two trials of one key give the same weights (evaluation key: the same numbers) on one kind of
device, so the second is never run.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tvae import registry


def digest(content: Any, length: int = 16) -> str:
    """The head of SHA-256 of plain data, in a canonical form: hexadecimal, `length` digits."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:length]


@cache
def _source(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None
    origin = spec.origin if spec else None
    return Path(origin) if origin and origin.endswith(".py") else None


def _without_words(tree: ast.Module) -> ast.Module:
    """The code without docstrings and `tvae.registry.Choices`, which people alone read."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.ClassDef):
            node.body = body = [one for one in node.body if not _is_choices(one)]
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                del body[0]
    return tree


def _is_choices(node: ast.stmt) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return any(isinstance(one, ast.Name) and one.id == "choices" for one in targets)


@cache
def _parsed(module: str, path: Path) -> tuple[str, frozenset[str]]:
    """(digest of the code without comments and docstrings, modules that it may import)."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    tree = ast.parse(path.read_bytes(), filename=str(path))
    imports: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            source = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            imports |= {source, *(f"{source}.{alias.name}" for alias in node.names)}
    return digest(ast.dump(_without_words(tree))), frozenset(imports)


def source_digests(modules: Iterable[str]) -> dict[str, str]:
    """Module -> digest of its code, for `modules` and all that they import of their own packages.

    Comments, docstrings and ``choices`` of classes do not count; imports inside functions do.
    Libraries are left to their version numbers.

    Args:
        modules: dotted names, such as ``tvae.divergences.kl``. To a plugin file's own belong the
            modules that lie beside it.
    """
    modules = list(modules)
    packages = {name.partition(".")[0] for name in modules} | {"tvae"}
    folders = {path.parent for path in registry.files()}
    found: dict[str, str] = {}

    def own(name: str) -> bool:
        if name.partition(".")[0] in packages:
            return True
        path = _source(name) if folders else None
        return path is not None and path.resolve().parent in folders

    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        path = None if module in found else _source(module)
        if path is None:
            continue
        found[module], imports = _parsed(module, path)
        waiting += filter(own, imports)
        # importing a module runs the packages above it
        waiting += [module.rpartition(".")[0]] if "." in module else []
    return dict(sorted(found.items()))


def differences(before: Mapping[str, Any], after: Mapping[str, Any], path: str = "") -> list[str]:
    """What differs between two key contents, a line each: ``model.latent_dim: 10 -> 100``."""
    out = []
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        where = f"{path}.{key}" if path else str(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            out += differences(old, new, where)
        elif old != new:
            out.append(f"{where}: {old!r} -> {new!r}")
    return out
