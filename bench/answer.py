"""What came out of a study: rows and manifest, the report, and what is said of it at the end.

All of it follows from the store, so what an execution said is said again, and nothing is built,
where none of what it followed from has changed (`ANSWER`).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.plan.keys import digest, source_digests
from bench.plan.progress import Progress
from bench.store import Store
from bench.study.looks import listed
from bench.study.problems import ConfigError, Problem
from bench.study.schema import Execution
from bench.study.setup import Study
from bench.watch.base import End, Guarded
from bench.watch.mlflow_runs import address
from tvae.faultpoints import reach

if TYPE_CHECKING:
    from rich.console import Console

    from reports.build import Built
    from reports.manifest import StudyEntry

ANSWER = "answer.json"
"""What the last execution came to, and from what."""


@dataclass(frozen=True)
class Said:
    """What is said at the end.

    Attributes:
        sentence: the verdict.
        sensitivity: how far it hangs on a choice of the test; may be empty.
        warning: of the budget; may be empty.
        secondary: the secondary contrasts, in a few lines.
        report: the page's path.
        bad: what went wrong, a line each.
    """

    sentence: str
    sensitivity: str
    warning: str
    secondary: list[str]
    report: str
    bad: list[str]

    def show(self, question: str, watched: Guarded, console: Console) -> None:
        """Print it; what went wrong first."""
        for line in self.bad:
            console.print(line)
        for note in filter(None, (watcher.note for watcher in watched.watchers)):
            console.print(note)
        for watcher, why in watched.problems.items():
            told = f"{watcher.name} was not told of this run: {why}\n{watcher.remedy}"
            console.print(told if watcher.remedy else f"{watcher.name} failed: {why}")
        for line in self.secondary:  # before the answer: what decides is said last
            console.print(line)
        console.print(f"\n{question}")
        console.print(self.sentence, style="bold")
        if self.sensitivity:
            console.print(self.sensitivity)
        if self.warning:
            console.print(f"({self.warning})")


def replaced(progress: Progress) -> str:
    """What the report that is there has and this execution has not, in words; empty: nothing."""
    try:
        told = json.loads((progress.store.path / "manifest.json").read_text())["study"]
        arms = [name for name in told["arms"] if name not in progress.study.setups]
        seeds = [seed for seed in told["seeds"] if seed not in progress.study.seeds]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    lost = [f"{what} {', '.join(map(str, names))}" for what, names in
            (("the arms", arms), ("the seeds", seeds)) if names]  # fmt: skip
    if not lost:
        return ""
    return (
        f"note: the report in {progress.store.path} has {' and '.join(lost)}, which this command "
        "leaves out; their trials stay, the report is made anew (name=OTHER keeps both)"
    )


def enlarged(progress: Progress) -> str:
    """That seeds are added to an answer that was given without looks, in words; empty: no."""
    told = _answered(progress.store)
    if told is None or progress.study.looks or not {*told["seeds"]} < {*progress.study.seeds}:
        return ""
    before, now = len(told["seeds"]), len(progress.study.seeds)
    return (
        f"note: {before} seeds have been tested, and {now} test again: who adds seeds until there "
        "is a verdict has a wrong one in 13% of studies and more instead of 5%; "
        "seeds.looks=[..] declares beforehand when to look"
    )


def check_looks(progress: Progress) -> None:
    """That the looks are those which the answer that is there was given with.

    Raises:
        ConfigError: the study was looked at already, in another way than these looks allow.
    """
    study, told = progress.study, _answered(progress.store)
    before = None if told is None else told.get("looks")
    if told is None or (before is None and not study.looks):
        return
    seeds, own = told["seeds"], "name=OTHER with seeds of its own, such as "
    own += f"seeds=[{max(max(seeds), max(study.seeds)) + 1}, ...]"
    now = f"looks at {listed(study.looks)} seeds" if study.looks else f"{len(study.seeds)} seeds"
    if before is not None and (before["planned"] != study.looks or seeds != _first(study, seeds)):
        message = (
            f"{progress.store.path} was declared with looks at {listed(before['planned'])} seeds, "
            f"of which {before['reached']} passed; it cannot go on with {now} and keep its level. "
            f"Give seeds.looks={before['planned']} and the same seeds again, or {own}"
        )
        raise ConfigError([Problem("looks", message)])
    if before is None and (len(seeds) not in study.looks or seeds != _first(study, seeds)):
        message = (
            f"{progress.store.path} was answered with the {len(seeds)} seeds {listed(seeds)}, "
            f"which is none of the {now}. Declare looks of which it is one, such as "
            f"seeds.looks=[{len(seeds)}, {2 * len(seeds)}], or {own}"
        )
        raise ConfigError([Problem("looks", message)])


def _first(study: Study, seeds: Sequence[int]) -> list[int]:
    return study.seeds[: len(seeds)]


def _answered(store: Store) -> StudyEntry | None:
    """What the manifest that is there declared, if anybody can have seen an answer of it."""
    from reports import manifest as manifests

    try:
        content = manifests.load(store.path)
    except ValueError:
        return None
    told = content["study"]
    ends = [trial["status"] for trial in content["trials"] if trial["stage"] == "confirm"]
    looked = told["looks"]["reached"] > 0 if "looks" in told else "interrupted" not in ends
    return told if looked and len(told["seeds"]) > 1 else None


def collect(progress: Progress, command: str) -> None:
    """Write rows and manifest of what has ended.

    Args:
        progress: how far the study is.
        command: what a person typed.
    """
    from bench import collect
    from bench.plan import machine

    environment = machine.describe(progress.study, progress.world)
    described = collect.manifest(progress, environment, command)
    collect.write(progress.store, collect.rows(progress), described)


def inputs(progress: Progress, command: str, execution: Execution) -> str:
    """Digest of all that rows, report and answer follow from.

    Args:
        progress: how far the study is.
        command: what a person typed.
        execution: how to run; who is told of it matters.
    """
    from bench.plan import machine

    return digest(
        {
            "study": progress.study.model_dump(mode="json"),
            "command": command,
            "trials": [
                (e.trial.evaluation_key, e.result.status, e.result.reason, e.result.unmeasured)
                for e in progress.counted()
            ],
            "looks": progress.looks.passed,
            "environment": machine.describe(progress.study, progress.world),
            "source": source_digests([__name__, "bench.driver", "reports.build"]),
            "page": _page_files(),
            "tracking": {**execution.tracking.model_dump(), "uri": address(execution.tracking)},
            "ledger": execution.ledger.model_dump(),
        }
    )


def recall(store: Store, known: str) -> Said | None:
    """What the last execution said, if nothing has changed since and its files are intact.

    Args:
        store: of the study.
        known: `inputs` now.
    """
    try:
        content = json.loads((store.path / ANSWER).read_text())
        files = {name: _sha256(store.path / name) for name in content["files"]}
        if content["inputs"] != known or files != content["files"]:
            return None
        return Said(**content["said"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def build(progress: Progress, known: str, watched: Guarded) -> Said:
    """Build the report, tell the end, and remember what came out.

    Args:
        progress: how far the study is; rows and manifest are written.
        known: `inputs`.
        watched: who is told; they have been told of the trials.
    """
    from bench.watch.tuning_figures import draw
    from reports.build import build as build_report
    from reports.words import secondary_text

    store = progress.store
    reach("report/begin")
    built = build_report(store.path)
    reach("report/end")
    answer = built.answer
    said = Said(
        answer.sentence,
        answer.sensitivity,
        answer.warning,
        secondary_text(answer.secondary),
        str(built.path),
        list(_bad(progress)),
    )
    documents = [built.path, *(store.path / name for name in ("study.yaml", "manifest.json"))]
    end = End(
        "FAILED" if said.bad else "FINISHED",
        [*documents, *_figures(built, store)],
        _headline(built),
        [(search, draw(search, store.figures)) for search in progress.searches],
    )
    watched.tell(lambda watcher: watcher.ends(end))
    if not watched.missed:
        # what somebody missed is told by the next execution
        files = [built.path, store.path / "rows.parquet", store.path / "manifest.json"]
        content = {
            "inputs": known,
            "said": asdict(said),
            "files": {path.name: _sha256(path) for path in files},
        }
        store.write(ANSWER, json.dumps(content, indent=1))
    return said


def _bad(progress: Progress) -> Iterator[str]:
    """What went wrong, a line each, the counts last."""
    counts: Counter[str] = Counter()
    for ending in progress.counted():
        status = ending.result.status
        for metric, why in ending.result.unmeasured.items():
            yield f"not measured: {ending.trial.name}: {metric}: {why}"
        if status in ("done", "pruned"):
            continue
        counts[status] += 1
        if status != "interrupted":
            folder = progress.store.trial(ending.trial.training_key)
            where = folder.traceback if folder.traceback.exists() else folder.path
            yield f"{status}: {ending.trial.name}: {ending.result.reason} ({where})"
    if counts:
        yield ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))


def _figures(built: Built, store: Store) -> Iterator[Path]:
    """The report's figures as files."""
    for name, drawn in built.figures.items():
        path = store.figures / f"{name}.svg"
        path.write_bytes(drawn)
        yield path


def _headline(built: Built) -> dict[str, float]:
    """The primary contrast as numbers."""
    found = built.answer.primary
    values = {"n": float(found.n), "difference": found.mean, "p": found.p_flip}
    return {f"primary/{name}": float(v) for name, v in values.items() if v is not None}


def _page_files() -> dict[str, str]:
    """What the report is made with besides its code - templates, style, script -> its SHA-256."""
    import reports

    folder = Path(*reports.__path__)
    files = (path for path in folder.rglob("*") if path.suffix in (".j2", ".css", ".js"))
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in files}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
