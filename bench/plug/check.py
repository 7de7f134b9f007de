"""Runs the contract of `tvae.testing` on one plugin and prints each law with its measured error."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rich.table import Column, Table
from rich.text import Text

from bench.console import console
from tvae import testing
from tvae.testing import Law
from tvae.testing.contract import PROPERTY

CONTRACTS: Mapping[str, type[Any]] = {
    "latent_transform": testing.LatentTransformContract,
    "divergence": testing.DivergenceContract,
    "family": testing.FamilyContract,
    "network": testing.NetworkContract,
    "likelihood": testing.LikelihoodContract,
    "model": testing.ModelContract,
    "metric": testing.MetricContract,
    "dataset": testing.DatasetContract,
}


@dataclass
class Checked:
    """What running a contract gave.

    Attributes:
        laws: (law, where) of everything that was measured.
        passed: names of the tests that passed; how often.
        failed: (test, case) -> why.
        skipped: test -> why.
    """

    laws: list[tuple[Law, str]] = field(default_factory=list)
    passed: dict[str, int] = field(default_factory=dict)
    failed: dict[tuple[str, str], str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Take in what pytest says of one test."""
        name, _, case = report.nodeid.rpartition("::")[2].partition("[")
        case = case.removesuffix("]")
        if report.when == "call":
            for key, value in report.user_properties:
                if key == PROPERTY:
                    self.laws.append((Law(*value), case))
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            self.failed[name, case] = crash.message if crash else str(report.longrepr)
        elif report.skipped:
            self.skipped[name] = str(report.longrepr[2]).removeprefix("Skipped: ")
        elif report.when == "call":
            self.passed[name] = self.passed.get(name, 0) + 1

    def pytest_collectreport(self, report: Any) -> None:
        """What cannot even be collected has failed."""
        if report.failed:
            self.failed["collection", ""] = str(report.longrepr)

    def worst(self) -> dict[str, tuple[Law, str]]:
        """Of each law the measurement that is nearest to its limit, or farthest beyond."""
        found: dict[str, tuple[Law, str]] = {}
        for law, case in self.laws:
            key = f"{law.name} {law.lower}"
            before = found.get(key, (law, case))[0]
            worse = law.error <= before.error if law.lower else not law.error <= before.error
            if key not in found or worse:
                found[key] = (law, case)
        return found


def run(kind: str, name: str, options: Mapping[str, Any]) -> Checked:
    """Run the contract of a kind on the plugin `name` with these options.

    In a module made for it and away from any project's own settings of pytest.
    """
    attributes: dict[str, Any] = {"plugin": name}
    if kind != "dataset":
        attributes["options"] = (dict(options),)
    module = ModuleType("checked")
    contract = type("TestContract", (CONTRACTS[kind],), {**attributes, "__module__": "checked"})
    module.TestContract = contract  # type: ignore[attr-defined]

    class Here(pytest.Module):
        """A test file that is no file."""

        def _getobj(self) -> ModuleType:
            return module

    class Collector:
        """Collects `Here` in place of the file that pytest is given."""

        def pytest_collect_file(self, file_path: Path, parent: Any) -> Any:
            return Here.from_parent(parent, path=file_path)

    checked, environment = Checked(), os.environ.pop("PYTEST_ADDOPTS", None)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "contract"  # no .py, or it would be imported as well
            path.touch()
            settings = Path(folder) / "pytest.ini"
            settings.write_text("[pytest]\n")
            with contextlib.redirect_stdout(io.StringIO()):
                pytest.main(
                    [str(path), "-q", "--noconftest", "-p", "no:cacheprovider", "-p", "no:xdist",
                     "-c", str(settings), "--rootdir", folder],
                    plugins=[checked, Collector()],
                )  # fmt: skip
    finally:
        if environment is not None:
            os.environ["PYTEST_ADDOPTS"] = environment
    return checked


def check(kind: str, name: str, options: Mapping[str, Any]) -> int:
    """Run the contract and print what it found; 0 where everything holds, else 1."""
    out = console()
    found = run(kind, name, options)
    settings = "".join(f" {option}={value}" for option, value in options.items())
    title = f"{name}{settings}: the contract of a {kind}"
    if found.laws:
        table = Table(
            Column("law", overflow="fold"),
            Column("measured", justify="right"),
            Column("must be", justify="right"),
            Column("worst at", overflow="fold"),
            Column("holds"),
            title=title,
            title_justify="left",
        )
        for law, case in found.worst().values():
            bound = f"{'>=' if law.lower else '<='} {law.limit:.3g}"
            table.add_row(
                Text(law.name),
                f"{law.error:.3g}",
                bound,
                Text(case),
                Text("yes") if law.holds else Text("NO", style="bold red"),
            )
        out.print(table, soft_wrap=False)
    else:
        out.print(title)
    for test, why in found.skipped.items():
        out.print(f"not tested: {_words(test)} ({why})")
    for (test, case), why in found.failed.items():
        out.print(f"FAILED: {_words(test)}{f' [{case}]' if case else ''}\n    {_first(why)}")
    passed = sum(found.passed.values())
    if not found.failed and not found.passed:
        found.failed["collection", ""] = "nothing was collected"
        out.print("FAILED: no test could be collected")
    verdict = f"{len(found.failed)} of {passed + len(found.failed)} tests failed"
    out.print(verdict if found.failed else f"all {passed} tests passed")
    return 1 if found.failed else 0


def _words(test: str) -> str:
    return test.removeprefix("test_").replace("_", " ")


def _first(why: str, most: int = 12) -> str:
    lines = why.strip().splitlines()
    shown = lines[:most] + (["..."] if len(lines) > most else [])
    return "\n    ".join(shown)
