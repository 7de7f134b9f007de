"""What differs between the arms, and what they are made of."""

from __future__ import annotations

from reports.cells import Cell, Table
from reports.manifest import Manifest, StudyEntry
from reports.report import Report, Section
from reports.words import NOTHING, plain


def section(report: Report) -> Section:
    """Settings on which arms differ, and the plugins that they are made of."""
    values = {"arms": arms(report.study, report.manifest), "parts": parts(report.study)}
    return Section("arms", "Arms", values)


def arms(study: StudyEntry, manifest: Manifest) -> Table:
    """What differs between the arms: each differing path, weights, parameters, trials by stage.

    Turned for many arms.
    """
    specs = study["arms"]
    paths = list(dict.fromkeys(path for arm in specs.values() for path in arm["differs"]))
    lines = [(Cell("summary"), *(Cell(arm["summary"], kind="words") for arm in specs.values()))]
    lines += [
        (
            Cell(path),
            *(
                Cell(plain(arm["differs"][path])) if path in arm["differs"] else Cell("—")
                for arm in specs.values()
            ),
        )
        for path in paths
    ]
    weighted = dict.fromkeys(part for arm in specs.values() for part in arm.get("weights", {}))
    lines += [
        (
            Cell(f"weight of {part}", "in the loss"),
            *(
                Cell(f"{arm['weights'][part]:.3g}" if part in arm.get("weights", {}) else "—")
                for arm in specs.values()
            ),
        )
        for part in weighted
    ]
    lines.append(
        (
            Cell("parameters"),
            *(
                Cell(f"{arm['parameters']:,}" if "parameters" in arm else NOTHING)
                for arm in specs.values()
            ),
        )
    )
    if any("claims" in arm for arm in specs.values()):
        claims = (", ".join(arm.get("claims", ())) or "—" for arm in specs.values())
        lines.append((Cell("claims"), *(Cell(text, kind="words") for text in claims)))
    for stage in ("tune", "confirm"):
        of_stage = [trial for trial in manifest["trials"] if trial["stage"] == stage]
        if of_stage:
            counts = [
                [trial["status"] for trial in of_stage if trial["arm"] == name] for name in specs
            ]
            lines.append(
                (
                    Cell(f"{stage} trials", "done of all"),
                    *(Cell(f"{of.count('done')} / {len(of)}") for of in counts),
                )
            )
    return Table(_arm_header("", study), tuple(lines)).long("arm")


def parts(study: StudyEntry) -> Table:
    """The plugins that the arms are made of, with what each of them says of itself."""
    every = list(study["arms"])
    header = ("part", "name", "in its author's words", "arms", "origin")
    rows = [
        (
            Cell(part["role"]),
            Cell(part["name"]),
            Cell(part["summary"].replace("``", ""), kind="words"),
            Cell("all" if part["arms"] == every else ", ".join(part["arms"]), kind="words"),
            Cell(part["origin"]),
        )
        for part in study.get("parts", [])
    ]
    return Table(tuple(map(Cell, header)), tuple(rows))


def _arm_header(corner: str, study: StudyEntry) -> tuple[Cell, ...]:
    # The role stands under every name, so that a baseline is never taken for an arm.
    return (
        Cell(corner),
        *(Cell(name, arm["role"], arm["role"]) for name, arm in study["arms"].items()),
    )
