"""A trial on a node of a cluster: what comes with it, what goes home.

A node has no file system in common with the driver. A job's files come with it and stand in a
folder of the node's own while a `LocalExecutor` of one process runs it; whatever changes there goes
home, and nothing stays but data sets, plugin files, and the classifiers and references that the
trials of one host share.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from numpy import generic
from numpy.typing import NDArray

from bench.execute.base import Event, Idle, Job
from bench.execute.worker import CANCELLED
from bench.plan.keys import digest
from bench.plan.trials import Trial
from tvae.files import write_atomically

EVERY = 0.5
"""Seconds between two looks at whether a trial is still wanted."""

NOT_READ = ("result.json", "pictures.npz", "clusters.npz", "traceback.txt")
"""Files of a trial that it does not read, and need not travel to it."""


class Unfit(RuntimeError):
    """A node on which a trial would not be what it is elsewhere; the message names both."""


@dataclass(frozen=True)
class Shipped:
    """A data set on its way.

    Attributes:
        name: of the set.
        digest: of the set, see `tvae.data.Dataset`.
        content: SHA-256 of all that travels, as `tvae.data.records.content_digest` takes it.
        splits: split -> array -> what it holds.
    """

    name: str
    digest: str
    content: str
    splits: Mapping[str, Mapping[str, NDArray[generic]]]


@dataclass(frozen=True)
class Cargo:
    """A data set as a trial on a node finds it.

    Attributes:
        content: of `Shipped`, or, where the node has the data, the digest that they must have.
        ref: holds a reference to the `Shipped`, which is fetched where it is not there yet; empty:
            the node has the data.
        source: arguments of `tvae.data.load` there.
    """

    content: str
    ref: tuple[Any, ...] = ()
    source: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Shipment:
    """All that a node must know to run a trial.

    Attributes:
        trial: what to run.
        files: of its folder, by name.
        data: label -> data set, the training set first.
        keep: which checkpoints stay.
        plugins: plugin files, by name.
        seconds: that it may take; None: as long as it wants.
        versions: what the driver is made of, see `versions`.
    """

    trial: Trial
    files: Mapping[str, bytes]
    data: Mapping[str, Cargo]
    keep: str
    plugins: Mapping[str, bytes]
    seconds: float | None
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Parcel:
    """What a node sends home.

    Attributes:
        event: what happened; None: nothing but the files.
        files: (name, offset, content), in the order in which they were written: from that byte on
            the file holds this.
        gone: files that are no more.
    """

    event: Event | None
    files: tuple[tuple[str, int, bytes], ...]
    gone: tuple[str, ...]


@cache
def versions() -> dict[str, str]:
    """What decides a trial's numbers besides the processor: the same everywhere, or refused."""
    import bench
    import tvae

    sources = {
        str(path.relative_to(root.parent)): path.read_text()
        for root in (Path(tvae.__file__).parent, Path(bench.__file__).parent)
        for path in sorted(root.rglob("*.py"))
    }
    own = importlib.metadata.version("tvae-bench")
    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        **{name: importlib.metadata.version(name) for name in ("torch", "torchvision", "numpy")},
        "tvae-bench": f"{own} (source {digest(sources, 8)})",
    }


def unlike(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """How the versions of a node differ from the driver's, in words; empty: they do not."""
    return "; ".join(
        f"{name} {theirs.get(name, 'is not installed')} there, {version} here"
        for name, version in ours.items()
        if theirs.get(name) != version
    )


def work(shipment: Shipment, wishes: list[Any]) -> Iterator[Parcel]:
    """Run a trial here, and give what goes home as it comes.

    Args:
        shipment: the trial with all that it needs.
        wishes: a reference to why it should stop, which is there as soon as it should.

    Raises:
        Unfit: another version of something, or other data, than the driver has.
        CannotWrite: the node's disk is full.
    """
    import ray

    from bench.execute.local import LocalExecutor

    differ = unlike(shipment.versions, versions())
    if differ:
        raise Unfit(f"{platform.node()} has {differ}")
    home = _home()
    folder = _trials(home) / f"{shipment.trial.training_key}-{os.getpid()}"
    files = Files(folder)
    try:
        files.lay(shipment.files)
        plugins = tuple(_kept(home / "plugins", shipment.plugins))
        sources = {label: _found(cargo) for label, cargo in shipment.data.items()}
        seen = map(str, ray.get_gpu_ids())
        job = Job(shipment.trial, folder, sources, shipment.keep, plugins, ",".join(seen))
        executor = LocalExecutor(1, shipment.seconds)
        with closing(executor.turns([job], EVERY)) as events:
            yield from _told(events, files, executor, job, *wishes)
        # who was stopped has left a checkpoint
        yield Parcel(None, *files.changes())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _told(
    events: Generator[Event | Idle, None, None],
    files: Files,
    executor: Any,
    job: Job,
    wish: Any,
) -> Iterator[Parcel]:
    import ray

    heard = False
    for event in events:
        changes = files.changes()
        happened = None if isinstance(event, Idle) else event
        if happened is not None or any(changes):
            yield Parcel(happened, *changes)
        if not heard and ray.wait([wish], timeout=0)[0]:
            heard = True
            with suppress(ray.exceptions.RayError):  # who would ask is lost
                if ray.get(wish) != CANCELLED:
                    return  # which stops it
                executor.cancel(job.trial)


class Files:
    """The files of a trial in a folder, and which of them changed.

    Args:
        folder: theirs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known: dict[str, _Seen] = {}

    def lay(self, files: Mapping[str, bytes]) -> None:
        """Make the folder anew with these files."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        for name, content in files.items():
            write_atomically(self.folder / name, content)
        self.changes()

    def changes(self) -> tuple[tuple[tuple[str, int, bytes], ...], tuple[str, ...]]:
        """(files, gone) of a `Parcel`, since it was last asked."""
        now: dict[str, os.stat_result] = {}
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):  # dropped meanwhile
                if not path.name.startswith(".") and path.is_file():
                    now[path.name] = path.stat()
        changed, known = [], {}
        # the curve first: a checkpoint must not be home before the records up to it
        for name in sorted(now, key=lambda name: (name != "curve.jsonl", now[name].st_mtime_ns)):
            mark = (now[name].st_ino, now[name].st_mtime_ns, now[name].st_size)
            before = self.known.get(name)
            if before is not None and before.mark == mark:
                known[name] = before
                continue
            with suppress(FileNotFoundError):
                content = (self.folder / name).read_bytes()
                known[name] = _Seen(mark, len(content), _hash(content))
                # of one that grew, such as a curve, only what is new
                grew = before is not None and before.sha == _hash(content[: before.size])
                offset = before.size if before is not None and grew else 0
                changed.append((name, offset, content[offset:]))
        gone = tuple(name for name in self.known if name not in known)
        self.known = known
        return tuple(changed), gone


@dataclass(frozen=True)
class _Seen:
    """A file as it was last sent."""

    mark: tuple[int, int, int]
    size: int
    sha: bytes


def _hash(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def accept(folder: Path, parcel: Parcel) -> None:
    """Let the files of a parcel stand in a trial's folder.

    Raises:
        OSError: they cannot be written.
        ValueError: a name that is no file's in this folder.
    """
    for name in (*(name for name, _, _ in parcel.files), *parcel.gone):
        if Path(name).name != name or name.startswith("."):
            raise ValueError(f"a node sent a file called {name!r}")
    for name, offset, content in parcel.files:
        path = folder / name
        if offset:
            with path.open("r+b") as file:
                file.truncate(offset)
                file.seek(offset)
                file.write(content)
        else:
            write_atomically(path, content)
    for name in parcel.gone:
        (folder / name).unlink(missing_ok=True)


def _home() -> Path:
    """Where a node keeps what is on it; what is left of tasks that were killed goes."""
    from tvae.data.source import cache_folder

    home = cache_folder() / "node"
    for left in _trials(home).glob("*-*"):
        if not _lives(int(left.name.rpartition("-")[2])):
            shutil.rmtree(left, ignore_errors=True)
    return home


def _trials(home: Path) -> Path:
    """Where those lie that have process numbers of one space: hosts may share a home."""
    try:
        space = os.stat("/proc/self/ns/pid").st_ino
    except OSError:  # no Linux
        space = 0
    return home / f"{platform.node()}-{space}" / "trials"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _kept(folder: Path, files: Mapping[str, bytes]) -> Iterator[Path]:
    """Plugin files with this content, each where no other content of its name ever stands."""
    for name, content in files.items():
        path = folder / digest(content.decode("utf-8", "replace")) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
        yield path


_checked: set[str] = set()
"""Data sets that this process has compared with the driver's."""


def _found(cargo: Cargo) -> dict[str, Any] | Path:
    """A data set on this node, for `bench.execute.trial.dataset`.

    Raises:
        Unfit: it is not there, or not the driver's.
    """
    from tvae import data
    from tvae.data import stored

    if not cargo.ref:
        source = dict(cargo.source)
        if cargo.content not in _checked:
            try:
                found = data.load(**source).digest
            except ValueError as error:
                raise Unfit(f"{platform.node()} has not the data: {error}") from error
            if found != cargo.content:
                raise Unfit(
                    f"{platform.node()} has other data called {source['name']}: their digest is "
                    f"{found} there, {cargo.content} here"
                )
            _checked.add(cargo.content)
        return source
    folder = _home() / "data" / cargo.content
    if cargo.content not in _checked:
        stored.mended(lambda: _unpacked(folder, cargo))
        _checked.add(cargo.content)
    return folder


def _unpacked(folder: Path, cargo: Cargo) -> Path:
    """The data set that was shipped, in a folder; fetched only where it is not there.

    Raises:
        Unfit: what came is not what was sent.
    """
    import ray

    from tvae.data import stored
    from tvae.data.records import Split, content_digest

    if stored.exists(folder):
        return folder
    shipped: Shipped = ray.get(cargo.ref[0])
    splits = {name: Split.of(dict(arrays)) for name, arrays in shipped.splits.items()}
    if content_digest(splits) != cargo.content:
        raise Unfit(f"{platform.node()} was sent {shipped.name} and got something else")
    return stored.make(
        folder, shipped.name, shipped.digest, lambda: {n: [s] for n, s in splits.items()}
    )


def shipped(source: Mapping[str, Any] | Path) -> Shipped:
    """A data set of the driver's, ready to travel."""
    from bench.execute.trial import dataset
    from tvae.data.records import SPLITS, content_digest

    found = dataset(source)
    splits = {name: getattr(found, name) for name in SPLITS}
    return Shipped(
        found.name,
        found.digest,
        content_digest(splits),
        {name: dict(split.arrays()) for name, split in splits.items()},
    )


def cargo(source: Mapping[str, Any]) -> Cargo:
    """A data set that every node has, with the digest that the driver's has."""
    from tvae import data

    return Cargo(data.load(**dict(source)).digest, source=source)


def files_of(job: Job) -> dict[str, bytes]:
    """What a trial can go on from, by name."""
    return {
        path.name: path.read_bytes()
        for path in sorted(job.folder.iterdir())
        if path.is_file() and not path.name.startswith(".") and path.name not in NOT_READ
    }
