"""Which executor an execution of a study asks for."""

from __future__ import annotations

from bench.execute.base import Executor
from bench.plan import machine
from bench.plan.trials import World
from bench.study.schema import Execution
from bench.study.setup import Study


def devices(study: Study, execution: Execution) -> frozenset[str]:
    """The device types that trials can be given; a cluster is joined.

    Raises:
        ConfigError: the cluster is not there, or cannot run this study.
    """
    if execution.executor == "ray":
        from bench.execute.ray import connect

        return connect(execution.ray.address, study.threads)
    return machine.devices()


def executor(study: Study, execution: Execution, world: World) -> Executor:
    """What runs the trials."""
    seconds = None if execution.trial_hours is None else execution.trial_hours * 3600
    share = execution.gpus_per_trial
    if execution.executor == "ray":
        from bench.execute.ray import RayExecutor

        gpus = share if world.device == "cuda" else 0.0
        ship = execution.ray.data == "ship"
        return RayExecutor(study.threads, gpus, execution.workers, seconds, ship)
    from bench.execute.local import LocalExecutor

    workers = execution.workers or machine.count_workers(study, world, share)
    gpus_of = machine.gpu_shares(share) if world.device == "cuda" else []
    return LocalExecutor(workers, seconds, gpus_of)
