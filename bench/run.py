"""Runs a study: ``python -m bench.run study=NAME key=value ...``.

Exit status: 0 all trials done; 1 a trial failed or diverged or a metric broke (the study went
on), or the disk is full or the cluster lost; 2 bad input, said before any computing; 3 the study is
being run by somebody else; 4 the time given by max_hours is up; 130 or 143 interrupted.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence

from bench.console import console

USAGE = """\
usage: python -m bench.run study=NAME [key=value ...]

Trains every arm and baseline of a study, evaluates them, and leaves runs/NAME/report.html.
Run the same command again to continue; finished trials are never run twice.

  study=NAME|PATH       what to run
  budget=NAME           how much to spend
  seeds=5               how many seeds (or a list of them)
  seeds=until_decided   looks every four seeds, ends when decided; max_seeds=16, seeds.looks=[4,8]
  arms=[a,b]            some of the study's arms; baselines=[a,b] likewise
  model.latent_dim=100  any key of the study, as nested as it is; ~key deletes one
  data.root=DIR         where full data sets are looked for first
  trainer.steps=1000    optimiser steps of each trial
  device=auto|cpu|cuda|mps   workers=N   threads=N   runs=DIR   keep=last|none|all
  tune.trials=8         tune every arm alike before it is compared; tune.seeds, tune.sampler, ...
  dry_run=true          show what would run and how long it takes, and stop
  max_hours=8           start nothing that cannot be finished by then; trial_hours=1 for one trial
  max_trials=20000      leave to run more than 10,000 trials
  plugins=FILE.py       a plugin that is in no package (or a list of them); see bench.plugins
  executor=ray          trials on the nodes of a cluster; ray.address=auto|HOST:PORT|local, ray.data
  gpus_per_trial=0.25   four trials share a GPU
  retry=failed          run failed and diverged trials again, measure what was not measured
  tracking.enabled=false, tracking.uri=URI   MLflow; ledger.uri=URI for Optuna's tools
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or "--help" in arguments or "-h" in arguments:
        console().print(usage())
        return 0 if arguments else 2
    # a notebook hands down a backend of its own, which nothing that runs here could import
    os.environ["MPLBACKEND"] = "agg"
    from bench.arguments import understood
    from bench.execute.base import ClusterLost
    from bench.execute.interrupts import Interrupted, Interrupts
    from bench.store import Owned
    from bench.study.problems import ConfigError, Problem
    from bench.study.resolve import resolve
    from bench.study.uris import masked

    errors = console(stderr=True)
    said: set[Problem] = set()

    def early(problem: Problem) -> None:
        if problem not in said:
            said.add(problem)
            errors.print(f"error: {problem}")

    try:
        with Interrupts():
            study, execution = resolve(arguments, early)
            if execution.dry_run:
                console().print(masked("understood: " + "; ".join(understood(arguments))))
            # what it needs takes seconds to import, and most mistakes have been found by now
            from bench.driver import Session

            command = f"python -m bench.run {shlex.join(map(masked, arguments))}"
            return Session(study, execution, command).run()
    except ConfigError as error:
        for problem in error.problems:
            early(problem)
        return 2
    except Owned as error:
        errors.print(f"error: {error}")
        return 3
    except ClusterLost as error:
        errors.print(f"error: {error}")
        errors.print("what has come home is kept; with a cluster again, the same command continues")
        return 1
    except OSError as error:
        # bad input is found before; what is left is a disk that is full or went away
        errors.print(f"error: cannot write: {error}")
        errors.print("what has ended is kept; mend the disk, and the same command continues")
        return 1
    except Interrupted as error:
        return 128 + error.signal


def usage() -> str:
    """The help, with the names of all that can be named; imports no plugin."""
    from bench.study.files import budget_names, study_names
    from tvae import registry

    kinds = {
        "studies": study_names(),
        "budgets": budget_names(),
        "latent transforms": registry.latent_transforms.names(),
        "divergences": registry.divergences.names(),
        "families": registry.families.names(),
        "networks": registry.networks.names(),
        "likelihoods": registry.likelihoods.names(),
        "models": registry.models.names(),
        "metrics": registry.metrics.names(),
    }
    width = max(map(len, kinds))
    return USAGE + "\n" + "\n".join(f"{k:{width}}  {', '.join(v)}" for k, v in kinds.items())


if __name__ == "__main__":
    sys.exit(main())
