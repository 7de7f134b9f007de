"""This checkout against another commit: ``python -m tests.benchmarks.regression [COMMIT]``.

Each tree has a process of its own, and this checkout has a second one as a control; every benchmark
is run by all three in turn. One process can be faster than another with the same code (by a third,
once, for the neighbour search), however often both take turns. So all are started anew several
times, each start counts once, by its medians, and the intervals are over the starts. What the other
commit cannot run is told, and no failure.

The benchmarks are those of this file for both trees, so they keep to what is unlikely to change.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

SERVING = __name__ == "__main__" and sys.argv[1:] == ["serve"]
if SERVING:  # a tree's process knows nothing but its tree and what lies beside this file
    from apart import Benchmark, serve
else:
    from tests.benchmarks.apart import Benchmark, Broken, Process, compare
    from tests.benchmarks.turns import Ratio, ratio

ROOT = Path(__file__).resolve().parent.parent.parent
HERE, CONTROL, OTHER = "here", "here again", "there"
STARTS, ROUNDS = 6, 5


# --- what is timed, in the process of a tree ----------------------------------------------------


def training(config: dict[str, object], size: int, steps: int = 1) -> Benchmark:
    """Steps of the training loop."""
    import torch

    import tvae
    from tvae import data, registry
    from tvae.trainer import State, Training, fit

    images = torch.tensor(data.load("mnist_small").train.images).unsqueeze(1)
    state = State.start(tvae.build({"latent_dim": 10, **config}, 0), 0)
    plan = Training(steps=1_000_000, batch_size=size, record_every=steps)
    records = fit(state, images, registry.families.make("rotation_crop"), plan)
    return lambda: next(records)


TVAE = {"name": "tvae", "latent_transform": "additive", "coherence": "kl", "prior": "mmd"}
VAE = {"name": "autoencoder", "prior": "kl"}


def views() -> Benchmark:
    """Ten times two views of 100 images."""
    import torch

    from tvae import data, registry

    x = torch.tensor(data.load("mnist_small").train.images[:100]).unsqueeze(1).float() / 255
    family, noise = registry.families.make("rotation_crop"), torch.Generator().manual_seed(0)
    return lambda: [family.views(x, noise) for _ in range(10)]


def embedding() -> Benchmark:
    """1,000 images embedded."""
    import tvae
    from tvae import data

    model, images = tvae.build({"latent_dim": 10, **TVAE}, 0), data.load("mnist_small").test.images
    return lambda: model.embed(images[:1000])


def metric(name: str, **options: int) -> Benchmark:
    """One metric of an untrained T_VAE."""
    import tvae
    from tvae import data, registry
    from tvae.evaluation.base import Context

    model, family = tvae.build({"latent_dim": 10, **TVAE}, 0), registry.families.make("rotation")
    known = {"mnist": data.load("mnist_small")}
    measure = registry.metrics.make(name, **options)
    return lambda: measure(Context(model.eval(), family, known, "test", seed=0))


def neighbours() -> Benchmark:
    """5 neighbours of 2,000 points among 10,000."""
    import torch

    from tvae.evaluation._neighbours import nearest

    noise = torch.Generator().manual_seed(0)
    train, test = (torch.empty(n, 10).normal_(generator=noise) for n in (10_000, 2_000))
    return lambda: nearest(train, test, 5)


BENCHMARKS: dict[str, Callable[[], Benchmark]] = {
    "T_VAE, batch 32": lambda: training(TVAE, 32),
    "T_VAE, batch 100": lambda: training(TVAE, 100),
    "VAE, batch 100": lambda: training(VAE, 100),
    "views": views,
    "embedding": embedding,
    "reconstruction": lambda: metric("reconstruction", images=500),
    "likelihood": lambda: metric("likelihood", k=20, images=50),
    "k-NN": neighbours,
}


# --- who asks -----------------------------------------------------------------------------------


def git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """What git answers in this checkout."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)


def commit(given: str | None) -> str:
    """The hash of the commit to compare with: `given`, or the last tag.

    Raises:
        Broken: there is no such commit, or no tag.
    """
    if given is None:
        tag = git("describe", "--tags", "--abbrev=0")
        if tag.returncode:
            raise Broken("there is no tag: name a commit, tox -e regression -- COMMIT")
        given = tag.stdout.decode().strip()
    found = git("rev-parse", "--verify", "--quiet", f"{given}^{{commit}}")
    if found.returncode:
        raise Broken(f"no commit {given!r} here: name another, tox -e regression -- COMMIT")
    return found.stdout.decode().strip()


def extract(of: str, folder: Path) -> None:
    """Write the tree of a commit to a folder."""
    packed = git("archive", "--format=tar", of)
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")


def table(found: dict[str, list[dict[str, float] | str]]) -> dict[str, Ratio]:
    """Print a line for each benchmark.

    Args:
        found: benchmark -> what `compare` said at each start.

    Returns:
        benchmark -> how many times the other commit's time ours is.
    """
    print(f"{'':20s}{'here':>10s}   here / there           here / here again")
    ratios: dict[str, Ratio] = {}
    for name, starts in found.items():
        spent = [start for start in starts if not isinstance(start, str)]
        if len(spent) < len(starts):
            print(f"{name:20s}{'':13s}not there: {next(s for s in starts if isinstance(s, str))}")
            continue
        here, control, other = ([start[t] for start in spent] for t in (HERE, CONTROL, OTHER))
        ratios[name] = ratio(here, other)
        told = f"{ratios[name]!s:21s}  {ratio(here, control)}"
        print(f"{name:20s}{1e3 * median(here):7.1f} ms   {told}")
    return ratios


def main(arguments: list[str]) -> int:
    """The command line: 0; 1 where a ratio's interval is wholly above `--limit`; 2 broken."""
    parser = argparse.ArgumentParser(prog="tox -e regression --")
    parser.add_argument("commit", nargs="?", help="the last tag by default")
    parser.add_argument("--starts", type=int, default=STARTS, help="of each process, at least 2")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns after each start")
    parser.add_argument("--limit", type=float, help="exit status 1 for a ratio surely above this")
    given = parser.parse_args(arguments)
    if given.starts < 2 or given.rounds < 1:
        parser.error("--starts must be at least 2, --rounds at least 1")
    found: dict[str, list[dict[str, float] | str]] = {name: [] for name in BENCHMARKS}
    try:
        of = commit(given.commit)
        with tempfile.TemporaryDirectory() as folder:
            extract(of, Path(folder))
            for start in range(1, given.starts + 1):
                print(f"{of[:12]}, start {start} of {given.starts}", file=sys.stderr)
                trees: dict[str, Process] = {}
                try:
                    for name, of_tree in ((HERE, ROOT), (CONTROL, ROOT), (OTHER, Path(folder))):
                        trees[name] = Process([__file__, "serve"], of_tree, PYTHONPATH=str(of_tree))
                    for name, said in found.items():
                        asked = dict.fromkeys(trees, name)
                        said.append(compare(trees, asked, given.rounds, [OTHER]))
                finally:
                    for tree in trees.values():
                        tree.end()
    except Broken as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"this checkout against {of[:12]}, {given.starts} starts of {given.rounds} turns")
    ratios = table(found)
    slower = [name for name, one in ratios.items() if given.limit and one.low > given.limit]
    if slower:
        print(f"slower by more than {given.limit:g}: {', '.join(slower)}")
    return bool(slower)


if SERVING:
    import torch

    torch.set_num_threads(1)
    serve(BENCHMARKS)
elif __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
