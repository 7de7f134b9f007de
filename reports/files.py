"""What the trials left in their folders: curves, pictures, and the outcomes of originals.

``clusters.npz`` maps a metric's name to the mean outcome of each original's variants: floats (N,),
originals in the order of the data set, the same for every arm and seed, in the metric's unit, each
with as many variants, so that their mean is the metric's value in the rows.

Legend: `N`, `K` images, `H`, `W` pixels.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reports import npz
from reports.manifest import Manifest

if TYPE_CHECKING:
    import pandas as pd

CURVES = ("validation/elbo", "train/loss")
MOST_POINTS = 200  # of one curve: more cannot be seen
MOST_DRAWN = 20_000  # of all curves of a term together: more make the page heavy
NUMBERS = {"path_steps": 1, "T_map": 2, "T_map_target": 1}  # arrays of numbers: dimensions
STACKS = ("interpolation_input", "path_output", "drawn_output")  # rows of pictures: four dimensions
Pictures = Mapping[str, Mapping[str, NDArray[Any]]]  # arm -> what its pictures.npz holds


def load_curves(folder: Path, manifest: Manifest) -> tuple[pd.DataFrame, list[str]]:
    """The curves of all confirmation trials, and a sentence for each that could not be read whole.

    A line that is not a JSON object ends its file: an interrupted trial may leave half of one.

    Returns:
        A frame with columns arm, seed, step, term, value (finite), and the problems.
    """
    import pandas as pd

    records: list[tuple[str, int, float, str, float]] = []
    problems = []
    curves = [
        (trial, trial["curve"])
        for trial in manifest["trials"]
        if trial["stage"] == "confirm" and trial["curve"] is not None
    ]
    most = min(MOST_POINTS, max(2, MOST_DRAWN // max(1, len(curves))))
    for trial, path in curves:
        lines, problem = _json_lines(folder / path)
        if problem:
            problems.append(f"curve of {trial['arm']}, seed {trial['seed']}: {problem}")
        every = math.ceil(len(lines) / most) or 1
        for i, line in enumerate(lines):
            step = line.get("step")
            if step is None or not _finite(step) or ((len(lines) - 1 - i) % every and i):
                continue
            records += [
                (trial["arm"], trial["seed"], float(step), term, float(line[term]))
                for term in CURVES
                if _finite(line.get(term))
            ]
    return pd.DataFrame(records, columns=["arm", "seed", "step", "term", "value"]), problems


def load_pictures(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of one ``pictures.npz``: uint8 pictures, numbers, and text on how they were made.

    Raises:
        ValueError: the file is missing or unreadable, an array is neither text nor of the type and
            dimensions that its name asks for, or the sizes disagree.
    """
    arrays = npz.load(path)
    texts = {name for name, array in arrays.items() if array.dtype.kind == "U"}
    pictures = {name: arrays[name] for name in arrays.keys() - texts - NUMBERS.keys()}
    sizes = set()
    for name in sorted(pictures):
        array, deep = pictures[name], 4 if name in STACKS else 3
        colours = array.shape[deep:]  # a last axis of three, or grey
        if (
            array.dtype != np.uint8
            or array.ndim < deep
            or colours not in ((), (3,))
            or not array.size
        ):
            must = "uint8, K N H W" if deep == 4 else "uint8, N H W"
            raise ValueError(f"{name} is {array.dtype} {array.shape}; must be {must} (or ... 3)")
        sizes.add(array.shape[deep - 2 :])
    for name in sorted(arrays.keys() & NUMBERS.keys()):
        array, deep = arrays[name], NUMBERS[name]
        if array.dtype.kind not in "fiu" or array.ndim != deep or not np.isfinite(array).all():
            must = f"finite numbers of {deep} dimension{'s' if deep > 1 else ''}"
            raise ValueError(f"{name} is {array.dtype} {array.shape}; must be {must}")
    if len(sizes) > 1:
        raise ValueError("its pictures are not all of one size")
    for name in ("transfer_source", "interpolation_input"):
        if len(pictures.get(name, "xyz")) != 3:
            raise ValueError(f"{name} must hold 3 pictures: x, x_1, x_2")
    if "T_map" in arrays and (
        arrays["T_map"].shape[1] != 2
        or arrays.get("T_map_target", arrays["T_map"]).shape[:1] != arrays["T_map"].shape[:1]
    ):
        raise ValueError("T_map must hold two numbers for each of T_map_target's")
    return arrays


def load_one_seed(folder: Path, manifest: Manifest) -> tuple[int | None, Pictures, list[str]]:
    """The pictures of every arm at one seed: the first of those at which most arms have any.

    Returns:
        The seed (None without any pictures), arrays by arm, and a sentence for each file that could
        not be read.
    """
    problems = list[str]()
    trials = [
        trial
        for trial in manifest["trials"]
        if trial["stage"] == "confirm" and trial["pictures"] is not None
    ]
    if not trials:
        return None, {}, problems
    seeds = [trial["seed"] for trial in trials]
    seed = max(sorted(set(seeds)), key=seeds.count)
    pictures: dict[str, dict[str, NDArray[Any]]] = {}
    for trial in trials:
        if trial["seed"] == seed and trial["pictures"] is not None:
            try:
                pictures[trial["arm"]] = load_pictures(folder / trial["pictures"])
            except ValueError as error:
                problems.append(f"pictures of {trial['arm']}, seed {seed}: {error}")
    return seed, pictures, problems


def load_clusters(path: Path, metric: str) -> NDArray[np.float64] | None:
    """A metric's mean outcome of each original, from a trial's ``clusters.npz``.

    Returns:
        Floats (N,); None where the file does not have this metric.

    Raises:
        ValueError: the file is missing or unreadable, or holds something else under that name.
    """
    try:
        arrays = npz.load(path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if metric not in arrays:
        return None
    found: NDArray[np.float64] = arrays[metric]
    if found.dtype != np.float64 or found.ndim != 1 or not found.size:
        raise ValueError(f"{path}: {metric} is {found.dtype} {found.shape}; must be float64 (N,)")
    if not np.isfinite(found).all():
        raise ValueError(f"{path}: {metric} is not finite throughout")
    return found


def _finite(value: object) -> bool:
    # compared as it is: a whole number of hundreds of digits has no float to ask
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max


def _json_lines(path: Path) -> tuple[list[dict[str, Any]], str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return [], f"cannot be read: {error}"
    lines: list[dict[str, Any]] = []
    for i, line in enumerate(text.splitlines(), start=1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            return lines, f"line {i} is not a JSON object; what follows was left out"
        lines.append(record)
    return lines, ""
