"""The schema of a study's file and of its execution."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from bench.study.tree import Tree, plugin
from bench.study.uris import ledger, tracker
from tvae.files import expanded
from tvae.shapes import ImageShape

if TYPE_CHECKING:
    from tvae.data import Source

REPOSITORY = Path(__file__).resolve().parents[2]
LARGEST_SEED = 2**31 - 1
MOST_SEEDS = 10_000
FIRST_TUNING_SEED = 1_000_000
"""Where counted tuning seeds start: beyond every counted confirmation seed."""
MOST_TRIALS = 10_000


def counted(seeds: Any, first: int = 0) -> Any:
    """A number of seeds as the list of them: 3 -> [0, 1, 2], or from `first` on.

    Raises:
        ValueError: neither a number above 0 nor a list.
    """
    if isinstance(seeds, list):
        return seeds
    if not isinstance(seeds, int) or isinstance(seeds, bool) or not 1 <= seeds <= MOST_SEEDS:
        looks = "" if first else ", or {looks: [4, 8, 12]}, or until_decided"
        raise ValueError(f"must be a list of seeds, or how many, 1 to {MOST_SEEDS}{looks}")
    return list(range(first, first + seeds))


Plugin = Annotated[Tree, BeforeValidator(plugin)]
Settings = Annotated[Tree, BeforeValidator(lambda given: {} if given is None else given)]
UserPath = Annotated[str, AfterValidator(lambda path: str(expanded(path)))]
"""A path as a person types it; ``~`` is the home, which a shell leaves in ``runs=~/x``."""
DataPath = Annotated[str, AfterValidator(lambda path: os.path.abspath(expanded(path)))]
"""Likewise, of what workers read, too: absolute."""
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]


class Section(BaseModel):
    """Strict: no unknown keys, no conversions between types; immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def for_both(variants: Any) -> Any:
    """A number of variants as that of train and of test images.

    Raises:
        ValueError: neither a number nor a mapping.
    """
    if isinstance(variants, int) and not isinstance(variants, bool):
        return {"train": variants, "test": variants}
    if not isinstance(variants, Mapping):
        raise ValueError("must be a whole number, or one for train and one for test")
    return variants


class Variants(Section):
    """Images made of each original: a number, or one for train and one for test images.

    AffNIST has 32. The paper's neighbours were fitted on all 1.6 million train images; as many of
    each test image make testing slower and hardly surer, since an original counts once.

    Attributes:
        train: of each train image; on these, neighbours and probes are fitted.
        test: of each test image, and of each validation image, which stands for them in tuning.
    """

    train: Annotated[int, Field(ge=1)] = 1
    test: Annotated[int, Field(ge=1)] = 1


def square(size: Any) -> Any:
    """One number of pixels as ``[height, width]``; anything else as it is."""
    return [size, size] if isinstance(size, int) and not isinstance(size, bool) else size


Sides = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=2)]


class Own(Section):
    """How images of one's own, which a path names, become a data set; the same for all paths.

    Attributes:
        size: pixels, one number or ``[height, width]``; None: the images' own, which must be one.
        channels: ``1`` turns colour into grey, ``3`` grey into colour; None: the images' own, which
            must be one.
        fit: what becomes of images of another size: ``refuse`` them, ``resize`` them, or ``crop``
            the largest part from their middle that has the right proportions, and resize that.
        validation: share of each class's images to tune on; of images that nobody has split.
        test: share to test on, likewise.
        seed: of that choice.
    """

    size: Annotated[Sides | None, BeforeValidator(square)] = None
    channels: Literal[1, 3] | None = None
    fit: Literal["refuse", "resize", "crop"] = "refuse"
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2
    seed: Seed = 0

    @model_validator(mode="after")
    def _agree(self) -> Own:
        from tvae.data.fitting import Fit
        from tvae.data.own import Shares

        Fit.of(self.model_dump())
        Shares.of(self.model_dump())
        return self


class Data(Section):
    """What is trained and tested on.

    A data set is one of those that ``python -m bench.data list`` shows; the path of images of one's
    own, which contains a ``/``, begins with ``.`` or ``~``, or ends in ``.npz`` or ``.npy``; or
    ``transformed(X)``, variants of one of both by AffNIST's law. Images at a path are called as its
    last part in names of metrics, such as ``knn/photos`` of ``~/pictures/photos``.

    Attributes:
        train: the training set, whose validation and test images are measured too.
        transfer: data sets that an embedding is tested on besides.
        size: ``small``: the included subset of a data set that has one; ``full``: all of it.
        root: a folder in which full data sets are looked for first.
        download: fetch a full data set that is nowhere to be found.
        variants: images made of each original, of full data sets that are made (AffNIST); the
            included subset has one.
        paths: name -> path of images of one's own, where the path's own name will not do.
        own: how images of one's own become a data set.
        protocol: how a model reads images that are larger than those that it was trained on:
            ``resize`` them, take their middle (``centre_crop``), or run the encoder on all of it
            (``native``), if its network can.
    """

    train: str
    transfer: list[str] = []
    size: Literal["small", "full"] = "small"
    root: UserPath | None = None
    download: bool = False
    variants: Annotated[Variants, BeforeValidator(for_both)] = Variants()
    paths: dict[str, DataPath] = {}
    own: Own = Own()
    protocol: Literal["resize", "centre_crop", "native"] = "resize"

    @property
    def labels(self) -> list[str]:
        """The data sets' names without their size, the training set first."""
        return list(dict.fromkeys([self.train, *self.transfer]))

    def source(self, label: str) -> Tree:
        """What `tvae.data.load` takes for `label` at this size, the name of the data included."""
        from tvae import data

        name = self._name(label)
        found: Tree = {"name": name, "root": self.root}
        if self.is_own(label):
            found |= self.own.model_dump()
        if "variants" in data.source(name).options:
            train, test = self.variants.train, self.variants.test
            # where it is one number, digests were made of it before there could be two
            found["variants"] = train if train == test else {"train": train, "test": test}
        return found

    def is_own(self, label: str) -> bool:
        """Whether `label` means images at a path, or variants of such."""
        from tvae.data.catalogue import original

        inner = original(label)
        return label in self.paths if inner is None else self.is_own(inner)

    def _name(self, label: str) -> str:
        """What `tvae.data` calls the data set `label` at this size."""
        from tvae import data
        from tvae.data.catalogue import original

        inner = original(label)
        if inner is not None:
            return f"transformed({self._name(inner)})"
        small = f"{label}_small"
        return self.paths.get(
            label, small if self.size == "small" and small in data.names() else label
        )

    def shape(self, label: str) -> ImageShape:
        """Of an image of the data set `label`.

        Raises:
            ValueError: there is none, or none of its files can be read.
        """
        source, options = self._source(label)
        return source.image_shape(**options)

    def images(self, label: str) -> dict[str, int]:
        """Split -> number of images of the data set `label` at this size.

        Raises:
            ValueError: there is none, or none of its files can be read.
        """
        source, options = self._source(label)
        return source.images(**options)

    def _source(self, label: str) -> tuple[Source, Tree]:
        from tvae import data

        options = self.source(label)
        name = options.pop("name")
        del options["root"]
        return data.source(name), options


class Trainer(Section):
    """How to train; see `tvae.trainer.Training`.

    Attributes:
        steps: optimiser steps of each trial.
        batch_size: images of a step; the last, smaller batch of an epoch is left out.
        learning_rate: Adam's, at the start.
        schedule: ``halving`` halves it every `halve_every` epochs (the paper's); ``cosine`` lets it
            fall to 0 at the last step; ``constant`` leaves it.
        halve_every: epochs.
        wide_rate: factor on the learning rate of the wide networks, q_psi and h_xi.
        warm_up: over so many steps the rate rises evenly to what the schedule says; 0: it starts
            there.
        views: K, of each image. Two are f and its inverse, where it has one; more are by
            transformations of their own.
        record_every: steps between two points of the training curves.
        checkpoint_every: steps between two checkpoints; 0: none.
    """

    steps: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=2)] = 100
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    schedule: Literal["halving", "cosine", "constant"] = "cosine"
    halve_every: Annotated[int, Field(ge=1)] = 50
    wide_rate: Annotated[float, Field(gt=0)] = 1.0
    warm_up: Annotated[int, Field(ge=0)] = 0
    views: Annotated[int, Field(ge=2)] = 2
    record_every: Annotated[int, Field(ge=1)] = 100
    checkpoint_every: Annotated[int, Field(ge=0)] = 500


class ArmData(Section):
    """What an arm may change of the study's data.

    Attributes:
        train: the training set; None: the study's.
        transfer: data sets that the embedding is tested on besides; None: the study's.
    """

    train: str | None = None
    transfer: list[str] | None = None

    def over(self, data: Data) -> Data:
        """The study's data with these changes."""
        return data.model_copy(update=self.model_dump(exclude_none=True))


class Arm(Section):
    """One arm or baseline: what it changes of the study's shared configuration.

    Attributes:
        summary: in words.
        published: the label of the paper's model that it repeats.
        data: what it is trained and tested on, where that differs.
        model: merged into the study's.
        family: likewise.
        trainer: likewise.
        levels: factor -> level, for an arm of a crossing.
    """

    summary: str = ""
    published: str = ""
    data: ArmData = ArmData()
    model: Tree = {}
    family: Plugin | None = None
    trainer: Tree = {}
    levels: dict[str, str] = {}


class Factors(Section):
    """The crossing in a study file: factor -> level -> what the level changes, as an arm would.

    The first level of a factor is what its other levels are compared with. The arms that are made
    are named by their levels, joined by ``-``; ``arms`` may change them and add others.

    Attributes:
        factors: what is crossed; every combination of levels makes an arm.
    """

    factors: dict[str, Annotated[dict[str, Arm], Field(min_length=1)]] = {}


class Primary(Section):
    """The one contrast and metric that the study is about, named before it runs.

    Attributes:
        treatment: an arm or baseline.
        control: what it is compared with; differences are treatment - control.
        metric: by the name it has in the report, such as ``knn/affnist``.
        equivalence: half-width of the region of practical equivalence, in the metric's unit.
    """

    treatment: str
    control: str
    metric: str
    equivalence: Annotated[float, Field(ge=0)]


class Secondary(Section):
    """The declared family of further comparisons.

    All of them are one family, adjusted by Holm.

    Attributes:
        contrasts: pairs of treatment and control, compared on the primary metric.
        metrics: metric -> half-width of its region of practical equivalence, for the primary
            contrast on other metrics.
    """

    contrasts: list[tuple[str, str]] = []
    metrics: dict[str, Annotated[float, Field(ge=0)]] = {}


class Tune(Section):
    """How arms are tuned before they are compared, every arm and baseline with the same budget.

    Attributes:
        trials: candidates for each arm, the first being its defaults; 0: no tuning.
        seeds: every candidate is trained at each of them; none is a confirmation seed.
        steps: of each training; None: as many as in confirmation.
        metric: what is optimised, on validation data; None: the study's primary metric.
        metrics: settings of metrics that differ while tuning.
        sampler: proposes candidates.
        pruner: stops candidates whose validation ELBO looks hopeless while they train.
        generation: candidates of an arm that are proposed together.
        seed: of the sampler.
        fixed: dotted paths that are not searched, besides all that a study's file sets itself.
    """

    trials: Annotated[int, Field(ge=0)] = 0
    seeds: Annotated[
        list[Seed],
        Field(min_length=1),
        BeforeValidator(lambda given: counted(given, FIRST_TUNING_SEED)),
    ] = [FIRST_TUNING_SEED]
    steps: Annotated[int, Field(ge=1)] | None = None
    metric: str | None = None
    metrics: dict[str, Settings] = {}
    sampler: Literal["tpe", "random", "cmaes", "gp"] = "tpe"
    pruner: Literal["none", "median", "hyperband"] = "none"
    generation: Annotated[int, Field(ge=1)] = 4
    seed: Seed = 0
    fixed: list[str] = []


class StudyFile(Section):
    """A question and all that is needed to answer it, as its file and the command line say it.

    Attributes:
        name: of the folder in ``runs/``; left out: the name of the file.
        question: in words; the title of the report.
        budget: a file in ``studies/budgets/``, merged below the study's own keys.
        budget_summary: in words; comes from the budget.
        budget_warning: stands above the answer; comes from the budget.
        data: what is trained and tested on.
        family: image transformations that the views are made with.
        model: what all arms share; an arm takes of it the options that its model has.
        arms: what is compared: name -> what the arm changes. Needed unless ``factors`` makes them.
        baselines: like `arms`; in a study file also a list of names from
            ``studies/baselines.yaml``.
        capacity: ``own``: arms as they are; ``matched`` narrows h_xi until every arm has the
            parameters of the smallest (see `bench.study.capacity`); ``both`` compares the arms
            as they are and matched.
        trainer: how to train.
        metrics: what is measured: name -> settings.
        tune: how arms are tuned before they are compared.
        seeds: of confirmation; every arm and baseline is trained at each of them. How many, or a
            list; ``{looks: [4, 8, 12]}`` are as many as the last look and sets `looks`;
            ``until_decided`` sets looks every four seeds up to ``max_seeds`` (16).
        looks: numbers of seeds, ascending, at which the study is looked at, and ends if the primary
            contrast is decided; the last is the number of seeds. Empty: all seeds, one look.
        primary: what the study is about.
        secondary: what else is compared.
        level: two-sided significance level of intervals and verdicts.
        threads: of each trial; they change the last digits of its numbers.
        device: where it is computed; ``auto`` takes a GPU where there is one.
    """

    name: Annotated[str, Field(min_length=1)]
    question: str
    budget: str = "quick"
    budget_summary: str = ""
    budget_warning: str = ""
    data: Data
    family: Plugin
    model: Tree = {}
    arms: Annotated[dict[str, Arm], Field(min_length=1)]
    baselines: dict[str, Arm] = {}
    capacity: Literal["own", "matched", "both"] = "own"
    trainer: Trainer
    metrics: Annotated[dict[str, Settings], Field(min_length=1)]
    tune: Tune = Tune()
    seeds: Annotated[list[Seed], Field(min_length=1), BeforeValidator(counted)]
    looks: list[int] = []
    primary: Primary
    secondary: Secondary = Secondary()
    level: Annotated[float, Field(gt=0, lt=1)] = 0.05
    threads: Annotated[int, Field(ge=1)] = 1
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    @property
    def every_arm(self) -> dict[str, Arm]:
        """Arms and baselines."""
        return {**self.arms, **self.baselines}

    @property
    def labels(self) -> list[str]:
        """The data sets that any arm needs, without their size."""
        of = [arm.data.over(self.data).labels for arm in self.every_arm.values()]
        return list(dict.fromkeys(label for labels in [self.data.labels, *of] for label in labels))


class Tracking(Section):
    """Where runs are shown.

    Attributes:
        enabled: whether MLflow is told.
        uri: of MLflow's tracking server; None: what ``mlflow ui`` shows in the same folder.
    """

    enabled: bool = True
    uri: Annotated[str, AfterValidator(tracker)] | None = None


class Ledger(Section):
    """Where Optuna's tools find the trials.

    Attributes:
        uri: of a database that many studies may share, ``postgresql://USER@HOST/NAME`` (which
            needs the extra ``server``) or ``sqlite:///FILE``; None: ``optuna.db`` in the study's
            folder.
    """

    uri: Annotated[str, AfterValidator(ledger)] | None = None


class Ray(Section):
    """The cluster that ``executor=ray`` takes.

    Attributes:
        address: ``auto``: the one whose node this machine is; ``HOST:PORT`` of its head; ``local``:
            one of this machine alone.
        data: ``ship``: data sets travel to the nodes; ``there``: every node has them, where this
            machine has them.
    """

    address: str = "auto"
    data: Literal["ship", "there"] = "ship"


class Execution(Section):
    """How to run, none of which changes a result.

    Attributes:
        runs: the folder with a folder for each study.
        executor: what runs trials: ``local`` processes of this machine, or the nodes of a ``ray``
            cluster.
        ray: which cluster.
        workers: trials at once; None: as many as there are cores or GPUs for.
        gpus_per_trial: of a GPU; 0.25: four small trials share one.
        dry_run: say what would run and how long it takes, and stop.
        max_hours: start nothing that cannot be finished by then.
        trial_hours: a trial that takes longer has failed.
        max_trials: refuse a study of more.
        retry: ``failed``: run failed and diverged trials again.
        keep: checkpoints that stay when a trial has ended: the ``last`` one, ``none`` or ``all``.
        plugins: Python files with plugins that are in no package.
        tracking: MLflow.
        ledger: Optuna's file.
    """

    runs: UserPath = "runs"
    executor: Literal["local", "ray"] = "local"
    ray: Ray = Ray()
    workers: Annotated[int, Field(ge=1)] | None = None
    gpus_per_trial: Annotated[float, Field(gt=0, le=1)] = 1.0
    dry_run: bool = False
    max_hours: Annotated[float, Field(gt=0)] | None = None
    trial_hours: Annotated[float, Field(gt=0)] | None = None
    max_trials: Annotated[int, Field(ge=1)] = MOST_TRIALS
    retry: Literal["none", "failed"] = "none"
    keep: Literal["last", "none", "all"] = "last"
    plugins: Annotated[
        list[str], BeforeValidator(lambda given: [given] if isinstance(given, str) else given)
    ] = []
    tracking: Tracking = Tracking()
    ledger: Ledger = Ledger()
