"""Optuna's own figures of an arm's tuning, as files."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from bench.plan.tuning import Search
from bench.store import slug
from reports.pen import own_matplotlib


def draw(search: Search, folder: Path) -> list[Path]:
    """Optimisation history and parameter importance (fANOVA), where there is enough to draw.

    Args:
        search: an arm's tuning, told.
        folder: exists.

    Returns:
        SVG files, at most two.
    """
    from optuna.trial import TrialState

    complete = search.optuna.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    values = {trial.value for trial in complete}
    if len(complete) < 2 or not search.space:
        return []
    matplotlib = own_matplotlib()
    from matplotlib import pyplot

    pyplot.switch_backend("agg")
    from optuna.importance import FanovaImportanceEvaluator
    from optuna.visualization import matplotlib as drawn

    paths = []
    with warnings.catch_warnings(), matplotlib.rc_context():  # Optuna sets a style of its own
        warnings.simplefilter("ignore")  # Optuna calls its figures experimental
        matplotlib.rcdefaults()  # a user's matplotlibrc changes nothing
        named = {"history": lambda: drawn.plot_optimization_history(search.optuna)}
        if len(values) > 1:
            evaluator = FanovaImportanceEvaluator(seed=0)
            named["importance"] = lambda: drawn.plot_param_importances(
                search.optuna, evaluator=evaluator
            )
        for what, make in named.items():
            axes: Any = make()  # type: ignore[no-untyped-call]
            axes.set_title(
                f"{what} of {search.name}: {search.metric}", loc="left", parse_math=False
            )
            paths.append(folder / f"tuning-{what}-{slug(search.name)}.svg")
            axes.figure.savefig(paths[-1], bbox_inches="tight", metadata={"Date": None})
            pyplot.close(axes.figure)
    return paths
