"""The pictures of one seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.files import Pictures
from reports.manifest import StudyEntry
from reports.panels import MOST_IMAGES, Gallery, Strip, guided, panel, tile
from reports.report import Report, Section
from reports.study import MOST_ARMS, few, many

MOST_LINES = 4  # of a panel of paths


def section(report: Report) -> Section:
    """Galleries of what the arms make of the same images."""
    return Section(
        "pictures",
        "Pictures",
        {
            "galleries": galleries(report.study, report.pictures),
            "seed": report.seed,
            "most_arms": MOST_ARMS,
            "many": many(report.study),
        },
    )


def galleries(study: StudyEntry, pictures: Pictures) -> list[Gallery]:
    """The panels of pictures that are not empty; arguments as `load_one_seed` gives them."""
    every = [
        _reconstructions(study, pictures),
        _samples(study, pictures),
        _transfers(study, pictures),
        _interpolations(study, pictures),
        _paths(study, pictures),
        _drawn(study, pictures),
    ]
    return [gallery for gallery in every if any(strip.picture for strip in gallery.strips)]


def _reconstructions(study: StudyEntry, pictures: Pictures) -> Gallery:
    inputs, outputs = (
        {arm: own[name] for arm, own in pictures.items() if name in own}
        for name in ("reconstruction_input", "reconstruction_output")
    )
    same = _all_equal(inputs.values())
    strips = []
    for arm, role in _trained(study):
        if arm not in outputs:
            strips.append(Strip(arm, role, None, "no pictures"))
            continue
        rows = [outputs[arm]] if same or arm not in inputs else [inputs[arm], outputs[arm]]
        strips.append(Strip(arm, role, panel(tile(rows), f"Reconstructions by {arm}")))
    shared = None
    if same and inputs:
        first = next(iter(inputs.values()))
        shared = Strip("input", "", panel(tile([first]), "The images to reconstruct"))
    return Gallery(
        "Reconstructions",
        "Test images and G(E(x)) of each arm.",
        "lines",
        shared,
        tuple(strips),
    )


def _samples(study: StudyEntry, pictures: Pictures) -> Gallery:
    strips = [
        Strip(arm, role, panel(tile([own["samples"]]), f"Samples of {arm}"))
        if "samples" in (own := pictures.get(arm, {}))
        else Strip(arm, role, None, "no pictures")
        for arm, role in _trained(study)
    ]
    return Gallery("Samples", "G(z) with z drawn from the prior.", "lines", None, tuple(strips))


def _transfers(study: StudyEntry, pictures: Pictures) -> Gallery:
    needed = ("transfer_source", "transfer_reconstruction", "transfer_forward", "transfer_inverse")
    data = {arm: own for arm, own in pictures.items() if {"transfer_input", *needed} <= own.keys()}
    strips = []
    for arm, role in _trained(study):
        own = data.get(arm)
        if own is None:
            strips.append(Strip(arm, role, None, "no pictures"))
            continue
        columns = [own["transfer_source"]] + [
            np.stack(column) for column in zip(*(own[name] for name in needed[1:]), strict=False)
        ]
        strips.append(
            Strip(
                arm,
                role,
                panel(guided(columns), f"Transfer of a transformation by {arm}"),
                f"by {own['transfer_kind']}" if "transfer_kind" in own else "",
            )
        )
    return Gallery(
        "Transfer",
        "As in the paper's Figure 3. First column: x, x_1 = f(x) and x_2 = f^-1(x), from which T "
        "is inferred. Other columns, other images x': G(E(x')), then G(r(z', T)), then "
        "G(r(z', T^-1)). An arm without T uses the latent difference E(x_1) - E(x), added. The "
        "green lines help to see rotation.",
        "blocks",
        _transfer_truth(data),
        tuple(strips),
    )


def _transfer_truth(data: Mapping[str, Mapping[str, NDArray[Any]]]) -> Strip | None:
    names = ("transfer_source", "transfer_input", "transfer_truth")
    whole = [own for own in data.values() if set(names) <= own.keys()]
    if not whole or not all(_all_equal(own[name] for own in whole) for name in names):
        return None
    source, inputs, truth = (whole[0][name] for name in names)
    pairs = [np.stack([x, y]) for x, y in zip(inputs, truth, strict=False)]
    picture = panel(guided([source[:2], *pairs]), "The images x' and the true f(x')")
    return Strip("the data", "", picture, "x' and f(x')")


def _interpolations(study: StudyEntry, pictures: Pictures) -> Gallery:
    inputs, outputs = (
        {arm: own[name] for arm, own in pictures.items() if name in own}
        for name in ("interpolation_input", "interpolation_output")
    )
    same = _all_equal(inputs.values())
    strips = []
    for arm, role in _trained(study):
        if arm not in outputs:
            strips.append(Strip(arm, role, None, "no pictures"))
            continue
        own = [outputs[arm]] if same or arm not in inputs else [*inputs[arm], outputs[arm]]
        strips.append(Strip(arm, role, panel(tile(own), f"Interpolations by {arm}")))
    shared = None
    if same and inputs:
        picture = panel(tile(list(next(iter(inputs.values())))), "The images x, x_1 and x_2")
        shared = Strip("x, x_1, x_2", "", picture, "a row each")
    return Gallery(
        "Interpolation",
        "As in the paper's Figure 4. Rows: x, its two views x_1 = f(x) and x_2 = f^-1(x), then of "
        "each arm G((z_1 + z_2) / 2), the image half-way between the views in latent space, which "
        "ought to be x. Half-way along a straight line favours a form that moves along one.",
        "lines",
        shared,
        tuple(strips),
    )


def _paths(study: StudyEntry, pictures: Pictures) -> Gallery:
    strips = []
    for arm, role in _trained(study):
        own = pictures.get(arm, {})
        if "path_output" not in own:
            strips.append(Strip(arm, role, None, "no pictures"))
            continue
        output = own["path_output"]
        kept = _spread_out(output.shape[1], MOST_IMAGES)
        picture = panel(tile(list(output[:MOST_LINES, kept])), f"Path of T by {arm}")
        steps = own.get("path_steps", np.zeros(0))
        told = len(steps) == output.shape[1]
        note = f"a = {', '.join(f'{a:.2g}' for a in steps[kept])}" if told else ""
        strips.append(Strip(arm, role, picture, note))
    return Gallery(
        "Along T",
        "G(r(z_1, T^-a)) for growing a, one image a row: each form's own way from x_1 = f(x) "
        "(a = 0) back to x (a = 1).",
        "blocks",
        None,
        tuple(strips),
    )


def _drawn(study: StudyEntry, pictures: Pictures) -> Gallery:
    strips = [
        Strip(arm, role, panel(tile(list(own["drawn_output"][:MOST_LINES])), f"Drawn T by {arm}"))
        if "drawn_output" in (own := pictures.get(arm, {}))
        else Strip(arm, role, None, "no prior on T to draw from")
        for arm, role in _trained(study)
    ]
    return Gallery(
        "Drawn T",
        "G(r(E(x'), T)) for T drawn from its prior, an image x' a row. Where it holds, each is "
        "x' under some transformation of the family.",
        "blocks",
        None,
        tuple(strips),
    )


def _spread_out(n: int, most: int) -> list[int]:
    """At most `most` of n places, evenly apart, the first and the last among them."""
    return sorted({round(i) for i in np.linspace(0, n - 1, min(n, most))})


def _trained(study: StudyEntry) -> list[tuple[str, str]]:
    arms = study["arms"]
    names, _ = few(study, [name for name, arm in arms.items() if arm["role"] != "reference"])
    return [(name, arms[name]["role"]) for name in names]


def _all_equal(arrays: Any) -> bool:
    first, *others = list(arrays) or [None]
    return all(np.array_equal(first, other) for other in others)
