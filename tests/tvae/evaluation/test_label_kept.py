"""Whether a frozen classifier is one and the same for all who ask, and what it says of images.

A judge that differs between arms, or that was read from a damaged file, would decide a comparison.
The toy data have four classes that nobody can confuse: which quarter of the image is bright.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tvae import data
from tvae.data import Dataset, Split
from tvae.evaluation import _classifier
from tvae.evaluation._classifier import classifier, recognised
from tvae.evaluation.base import Context
from tvae.evaluation.label_kept import LabelKept
from tvae.families.rotation import Rotation
from tvae.registry import families
from tvae.streams import Streams

CPU = torch.device("cpu")
STEPS = 15
NAMES = ["transfer/label_kept", "transfer_difference/label_kept", "label_kept/none",
         "label_kept/truth", "label_kept/classifier"]  # fmt: skip


def quarters(n: int, seed: int) -> Split:
    """Images with the quarter of their label bright, noise all over."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n)
    images = rng.integers(0, 80, (n, 28, 28))
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[14 * row : 14 * row + 14, 14 * column : 14 * column + 14] += 150
    return Split(images.astype(np.uint8), labels.astype(np.int64))


DATA = Dataset.of("quarters", quarters(300, 0), quarters(50, 1), quarters(60, 2))
FAMILY = Rotation(10)


def weights(network: nn.Module) -> list[list[float]]:
    return [parameter.flatten().tolist() for parameter in network.parameters()]


def pixels(split: Split) -> torch.Tensor:
    return torch.from_numpy(split.images)[:, None].float() / 255


@pytest.fixture
def trainings(monkeypatch) -> list[int]:
    """An entry for each training in this process."""
    count: list[int] = []
    train = _classifier._train

    def counted(*arguments):
        count.append(1)
        train(*arguments)

    monkeypatch.setattr(_classifier, "_train", counted)
    return count


def stored(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.suffix != ".lock")


# --- the classifier -----------------------------------------------------------------------------


def test_it_is_the_same_whoever_asks():
    """No arm's seed, and nothing that torch's own generator did before, is in it."""
    torch.manual_seed(1)
    first = classifier(DATA, FAMILY, STEPS, CPU)
    torch.rand(7)
    before = torch.random.get_rng_state()
    second = classifier(DATA, FAMILY, STEPS, CPU)
    assert weights(first) == weights(second)
    assert torch.equal(torch.random.get_rng_state(), before), "nor does it disturb anybody"
    assert not first.training
    test = DATA.test
    turned = FAMILY.apply(pixels(test), FAMILY.draw(len(test), Streams(1)("turned")))
    labels = torch.from_numpy(test.labels)
    assert recognised(first, pixels(test), labels) == 1
    assert recognised(first, turned, labels) == 1


def test_it_knows_real_images_after_two_seconds():
    """What longer training comes to is measured in ``tests/benchmarks/test_classifier.py``."""
    known = data.load("mnist_small")
    network = classifier(known, families.make("rotation_crop"), 150, CPU)
    assert recognised(network, pixels(known.test), torch.from_numpy(known.test.labels)) > 0.95


def test_what_is_recognised_is_counted_image_by_image():
    """In parts of 1000; images that are not finite show nothing, not the class 0."""

    class Brightest(nn.Module):
        def forward(self, x):
            return torch.stack([1 - x.mean((1, 2, 3)), x.mean((1, 2, 3))], 1)

    rng = np.random.default_rng(0)
    grey, labels = rng.random(2500).astype(np.float32), rng.integers(0, 2, 2500)
    images = torch.from_numpy(grey)[:, None, None, None].expand(-1, 1, 28, 28)
    expected = np.mean([(g > 0.5) == bool(label) for g, label in zip(grey, labels, strict=True)])
    labels = torch.from_numpy(labels)
    assert recognised(Brightest(), images, labels) == pytest.approx(expected)
    broken = torch.full((4, 1, 28, 28), torch.nan)
    assert recognised(Brightest(), broken, torch.zeros(4, dtype=torch.int64)) == 0


# --- its cache ----------------------------------------------------------------------------------


def test_the_second_who_asks_does_not_train(tmp_path, trainings):
    cache = tmp_path / "study" / "classifiers"
    first = classifier(DATA, FAMILY, STEPS, CPU, cache)
    second = classifier(DATA, FAMILY, STEPS, CPU, cache)
    assert len(trainings) == 1
    assert weights(first) == weights(second) == weights(classifier(DATA, FAMILY, STEPS, CPU))
    assert not second.training
    assert len(stored(cache)) == 1


def other_source(monkeypatch) -> None:
    """The same module with another line in it."""
    file = Path(_classifier.__file__)
    monkeypatch.setattr(_classifier, "__file__", str(file.with_name("label_kept.py")))


@pytest.mark.parametrize(
    "change",
    [
        lambda cache, _: classifier(DATA, FAMILY, STEPS + 1, CPU, cache),
        lambda cache, _: classifier(DATA, Rotation(11), STEPS, CPU, cache),
        lambda cache, _: classifier(DATA, families.make("crop"), STEPS, CPU, cache),
        lambda cache, _: classifier(
            Dataset.of("quarters", DATA.train, DATA.validation, quarters(60, 3)),
            FAMILY, STEPS, CPU, cache,
        ),
        lambda cache, patch: other_source(patch) or classifier(DATA, FAMILY, STEPS, CPU, cache),
        lambda cache, patch: (
            patch.setattr(torch, "__version__", "99.0")
            or classifier(DATA, FAMILY, STEPS, CPU, cache)
        ),
    ],
    ids=["steps", "options", "family", "data", "source", "torch"],
)  # fmt: skip
def test_whatever_decides_its_weights_is_in_its_key(tmp_path, trainings, monkeypatch, change):
    classifier(DATA, FAMILY, STEPS, CPU, tmp_path)
    change(tmp_path, monkeypatch)
    assert len(trainings) == 2
    assert len(stored(tmp_path)) == 2


def test_what_does_not_decide_them_is_not(tmp_path, trainings):
    """Another name of the same data, another instance of the same family."""
    classifier(DATA, FAMILY, STEPS, CPU, tmp_path)
    named = Dataset.of("another name", DATA.train, DATA.validation, DATA.test)
    classifier(named, Rotation(max_angle=10.0), STEPS, CPU, tmp_path)
    assert len(trainings) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: content[: len(content) // 2],
        lambda content: b"",
    ],
    ids=["a bit", "half", "empty"],
)
def test_a_damaged_file_is_trained_again(tmp_path, trainings, damage):
    first = classifier(DATA, FAMILY, STEPS, CPU, tmp_path)
    (name,) = stored(tmp_path)
    path = tmp_path / name
    intact = path.read_bytes()
    path.write_bytes(damage(intact))
    assert weights(classifier(DATA, FAMILY, STEPS, CPU, tmp_path)) == weights(first)
    assert len(trainings) == 2
    assert stored(tmp_path) == [name]
    assert path.read_bytes() == intact


def ask(cache: Path, log: Path, pause: float, fault: str) -> None:
    """What a process does: ask for the classifier, and say in `log` what happened."""
    os.environ["TVAE_FAULT"] = fault
    torch.set_num_threads(1)
    train = _classifier._train

    def slow(*arguments):
        with log.open("a") as file:
            file.write("train\n")
        time.sleep(pause)
        train(*arguments)

    _classifier._train = slow
    network = classifier(DATA, FAMILY, STEPS, CPU, cache)
    with log.open("a") as file:
        file.write(f"got {zlib.crc32(str(weights(network)).encode())}\n")


@pytest.fixture(scope="module")
def processes():
    """Starts processes of their own that have torch already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tvae.evaluation.label_kept", "tvae.registry", "pytest"])
    return context


@pytest.fixture
def worker(tmp_path, processes):
    """Starts a process that asks for the classifier."""
    running = []

    def worker(pause: float = 0.0, fault: str = ""):
        arguments = (tmp_path / "cache", tmp_path / "log", pause, fault)
        running.append(processes.Process(target=ask, args=arguments, daemon=True))
        running[-1].start()
        return running[-1]

    yield worker
    for process in running:
        process.kill()
        process.join()


def ended(process) -> int | None:
    process.join(60)
    return process.exitcode


def test_of_two_at_once_one_trains_and_the_other_waits(tmp_path, worker):
    both = [worker(pause=0.5), worker(pause=0.5)]
    assert [ended(process) for process in both] == [0, 0]
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines.count("train") == 1
    assert len(lines) == 3
    assert len(set(lines)) == 2, "both have the same weights"
    assert len(stored(tmp_path / "cache")) == 1


def test_who_is_killed_while_training_holds_up_nobody(tmp_path, worker):
    log = tmp_path / "log"
    stuck = worker(pause=600)
    deadline = time.monotonic() + 60
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    waiting = worker()
    waiting.join(0.5)
    assert log.read_text().split() == ["train"], "it waits"
    stuck.kill()
    assert ended(waiting) == 0
    assert log.read_text().split()[:2] == ["train", "train"]
    assert len(stored(tmp_path / "cache")) == 1


def test_who_is_killed_while_writing_leaves_nothing_behind(tmp_path, worker, trainings):
    cache = tmp_path / "cache"
    assert ended(worker(fault="classifier/written")) == -signal.SIGKILL
    assert [name[0] for name in stored(cache)] == ["."], "the temporary file alone"
    classifier(DATA, FAMILY, STEPS, CPU, cache)
    assert len(trainings) == 1
    (name,) = stored(cache)
    assert name.startswith("classifier-")


# --- the metric ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    """A cache, so that the classifier is trained once for all tests below."""
    return tmp_path_factory.mktemp("classifiers")


@pytest.fixture
def context(build, shared):
    def context(form: str | None, seed: int = 3, **changes) -> Context:
        given = {"family": FAMILY, "datasets": {"quarters": DATA}, "split": "test", "cache": shared}
        return Context(build(form), seed=seed, **{**given, **changes})

    return context


def values(context: Context, images: int = 40) -> dict[str, float]:
    return {m.name: m.value for m in LabelKept(images, STEPS)(context)}


def test_a_perfect_decoder_keeps_every_label(context):
    """It shows the other image, transformed, whatever the latents."""
    given = context("additive")
    probe = given.probe(40)
    shown = FAMILY.apply(probe.x[probe.other], probe.parameters)
    given.model.generate = lambda z: shown
    assert values(given) == dict.fromkeys(NAMES, 1.0)


def test_noise_keeps_a_label_by_chance(context):
    """One of four classes: a share about that of the most frequent answer."""
    given = context("additive")
    generator = torch.Generator().manual_seed(0)
    given.model.generate = lambda z: torch.rand(len(z), 1, 28, 28, generator=generator)
    found = values(given, 60)
    for name in NAMES[:3]:
        assert found[name] < 0.5
    assert found["label_kept/truth"] == found["label_kept/classifier"] == 1


def test_a_T_that_carries_the_image_along_shows_the_label_of_the_wrong_one(context):
    """G(r(E(x'), T_x)) is x itself: right only where neighbours happen to share their label."""
    given = context("additive")
    probe, labels = given.probe(40), given.labels(40)
    images = {tuple(z.tolist()): x for z, x in zip(probe.e, probe.x, strict=True)}
    given.model.r.forward = lambda z, t: probe.e
    given.model.generate = lambda z: torch.stack(
        [images.get(tuple(row.tolist()), torch.zeros(1, 28, 28)) for row in z]
    )
    found = values(given)
    same = float((labels == labels[probe.other]).float().mean())
    assert found["transfer/label_kept"] == pytest.approx(same)
    assert 0.1 < same < 0.5
    assert found["label_kept/none"] == 1


def test_an_exploded_decoder_keeps_nothing(context):
    given = context("additive")
    given.model.generate = lambda z: torch.full((len(z), 1, 28, 28), torch.nan)
    found = values(given)
    assert [found[name] for name in NAMES] == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("form", ["additive", "matrix", None])
@pytest.mark.parametrize("split", ["test", "validation"])
def test_every_share_image_by_image(form, split, context):
    given = context(form, split=split)
    model, probe, n = given.model, given.probe(30), 30
    network = classifier(DATA, FAMILY, STEPS, CPU, given.cache)
    held_out = getattr(DATA, split)
    label_of = {
        image.tobytes(): int(label)
        for image, label in zip(held_out.images, held_out.labels, strict=True)
    }
    kept = {name: [] for name in NAMES}
    for i in range(n):
        f = {name: value[i : i + 1] for name, value in probe.parameters.items()}
        x, other = (probe.x[j : j + 1] for j in (i, (i + 1) % n))
        x_1, x_2 = FAMILY.apply(x, f), FAMILY.apply(x, FAMILY.invert(f))
        z, z_other, z_1, z_2 = (model.encoder(image)[0] for image in (x, other, x_1, x_2))
        label = label_of[(other * 255).round().byte().numpy().tobytes()]

        def keeps(image, label=label) -> bool:
            return int(network(image).argmax()) == label

        if form is not None:
            moved = model.r(z_other, model.h_xi(z_1, z_2))
            kept[NAMES[0]].append(keeps(torch.sigmoid(model.decoder(moved))))
        kept[NAMES[1]].append(keeps(torch.sigmoid(model.decoder(z_other + z_1 - z))))
        kept[NAMES[2]].append(keeps(torch.sigmoid(model.decoder(z_other))))
        kept[NAMES[3]].append(keeps(FAMILY.apply(other, f)))
    kept[NAMES[4]] = [
        int(network(image[None]).argmax()) == label
        for image, label in zip(pixels(held_out), held_out.labels, strict=True)
    ]
    found = values(given, n)
    for name, each in kept.items():
        expected = np.mean(each) if each else np.nan
        assert found[name] == pytest.approx(expected, nan_ok=True), name


def test_all_arms_and_seeds_of_a_study_are_judged_by_one(context, trainings, tmp_path):
    accuracies = {
        values(context(form, seed=seed, cache=tmp_path))["label_kept/classifier"]
        for form in ("additive", None)
        for seed in (0, 1)
    }
    assert len(trainings) == len(accuracies) == 1


def test_without_views_nothing_is_trained(context, trainings):
    found = values(context("additive", family=families.make("none")))
    assert list(found) == NAMES
    assert np.isnan(list(found.values())).all()
    assert not trainings
