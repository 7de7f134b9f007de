"""One plugin in detail: equation, options, search space, cost."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from rich.console import Console

from bench.console import console
from bench.plug.kinds import DIMS, Request, check_options, example, matches, told
from tvae import registry
from tvae.data import catalogue
from tvae.registry import Registry, UnknownName
from tvae.shapes import GREY_28, ImageShape

SHAPES = (GREY_28, ImageShape(3, 32, 32))
"""Of images for which a network's costs are told."""

MORE_SHAPES = (ImageShape(1, 5, 7), ImageShape(3, 17, 24), ImageShape(1, 128, 128))
"""For which it is told, too, if a network refuses them."""


def describe(request: Request) -> None:
    """Print what there is to know about the plugins of one name.

    Raises:
        ValueError: no such plugin, or options that it refuses.
    """
    out = console()
    (name,) = request.words
    for i, (kind, names) in enumerate(matches(request)):
        if i:
            out.print()
        out.print(f"{name}: a {names.kind}, from {told(names.origin(name))}")
        if not isinstance(names, Registry):
            _describe_data(name, out)
            continue
        owner: Any = names.get(name)
        check_options(names, name, request.options)
        out.print(f"\n{inspect.getdoc(owner)}\n")
        _describe_options(owner, out)
        costs = {
            "latent_transform": _form_costs,
            "divergence": _divergence_costs,
            "family": _family_costs,
            "network": _network_costs,
            "likelihood": _likelihood_costs,
            "model": _model_costs,
        }
        if kind in costs:
            out.print("what it costs")
            for line in costs[kind](name, request.options):
                out.print(f"  {line}")


def _describe_data(name: str, out: Console) -> None:
    source = catalogue.source(name)
    sizes = " / ".join(f"{size:,}" for size in source.sizes)
    out.print(f"\n{source.summary}\n")
    out.print(f"train / validation / test  {sizes}")
    out.print(f"pixels                     {source.shape}")
    out.print(f"options                    {', '.join(sorted(source.options)) or 'none'}")


def _describe_options(owner: Any, out: Console) -> None:
    hints = registry.hints_of(owner)
    options = [
        o
        for o in registry.options_of(owner).values()
        if o.name not in ("latent_dim", *registry.GIVEN)
    ]
    out.print("options")
    for option in options:
        hint = hints.get(option.name, Any)
        kind = hint.__name__ if inspect.isclass(hint) else str(hint).replace("typing.", "")
        default = "" if option.default is option.empty else f" = {option.default!r}"
        out.print(f"  {option.name}: {kind}{default}")
    if not options:
        out.print("  none")
    out.print("search space")
    for option_name, searched in getattr(owner, "space", {}).items():
        out.print(f"  {option_name}: {searched}")
    if not getattr(owner, "space", {}):
        out.print("  nothing is tuned")


def _form_costs(name: str, options: dict[str, Any]) -> list[str]:
    """Of a form in the T_VAE of the paper, at each of `DIMS`."""
    import torch

    from tvae.networks._pair import PairNetwork

    lines = []
    for dim in DIMS:
        try:
            form = registry.latent_transforms.make(name, dim, **options)
        except UnknownName:
            raise
        except ValueError as error:
            lines.append(f"D = {dim}: not with these options ({error})")
            continue
        size, batch = form.parameter_size, 100
        own = sum(p.numel() for p in form.parameters())
        with torch.device("meta"):
            inferring = sum(p.numel() for p in PairNetwork(dim, size).parameters())
        z = torch.randn(batch, dim)
        t = (form.identity() + 0.1 * torch.randn(batch, size)).requires_grad_()

        def step(form: Any = form, z: Any = z, t: Any = t) -> None:
            (form(z, t).square().sum() + form.inverse(z, t).square().sum()).backward()

        lines.append(
            f"D = {dim}: P = {size:,}; parameters of r {own:,}, of h_xi {inferring:,}; "
            f"r and its inverse with gradients, batch of {batch}: {_milliseconds(step):.3g} ms"
        )
    return lines


def _divergence_costs(name: str, options: dict[str, Any]) -> list[str]:
    """Its weight, and one estimate as coherence, T of the size of z."""
    import torch

    from tvae.divergences.base import Side

    divergence = registry.divergences.make(name, **options)
    lines = []
    for dim in DIMS:
        mean = torch.randn(100, dim, requires_grad=True)
        noise, r, z, t = torch.randn(4, 100, dim)

        def step(mean: Any = mean, noise: Any = noise, r: Any = r, z: Any = z, t: Any = t) -> None:
            q = Side.gaussian(mean, torch.full_like(mean, -2.0), noise)
            divergence(q, Side(r), {"z": z, "T": t}).backward()

        lines.append(
            f"D = {dim}: default weight {divergence.default_weight(dim):.3g}; "
            f"one estimate with gradients, batch of 100: {_milliseconds(step):.3g} ms"
        )
    return lines


def _family_costs(name: str, options: dict[str, Any]) -> list[str]:
    """Of the two views; a family knows nothing of D."""
    import torch

    family = registry.families.make(name, **options)
    x, generator = torch.rand(100, *GREY_28), torch.Generator().manual_seed(0)
    took = _milliseconds(lambda: family.views(x, generator))
    return [f"two views of 100 images of 28 x 28, at any D: {took:.3g} ms"]


def _network_costs(name: str, options: dict[str, Any]) -> list[str]:
    """Of both halves, at each of `SHAPES` and `DIMS`, and what shapes it refuses."""
    import torch

    network = registry.networks.make(name, **options)
    lines = []
    for shape in (shape for shape in SHAPES if not network.refuses(shape)):
        x = torch.rand(100, *shape)
        for dim in DIMS:
            encoder = network.encoder(shape, dim)
            decoder = network.decoder(shape, dim, shape.channels)
            z = torch.randn(100, dim)
            sizes = [sum(p.numel() for p in half.parameters()) for half in (encoder, decoder)]
            with torch.no_grad():
                took = [_milliseconds(partial(encoder, x)), _milliseconds(partial(decoder, z))]
            lines.append(
                f"{shape}, D = {dim}: parameters of the encoder {sizes[0]:,}, of the decoder "
                f"{sizes[1]:,}; 100 images encoded in {took[0]:.3g} ms, decoded in {took[1]:.3g} ms"
            )
    refused = [network.refuses(shape) for shape in (*SHAPES, *MORE_SHAPES)]
    return lines + [f"refused: {why}" for why in dict.fromkeys(refused) if why]


def _likelihood_costs(name: str, options: dict[str, Any]) -> list[str]:
    """Of one batch; a likelihood knows nothing of D."""
    import torch

    likelihood = registry.likelihoods.make(name, **options)
    k, own = likelihood.outputs, sum(p.numel() for p in likelihood.parameters())
    x, parameters = torch.rand(100, *GREY_28), torch.randn(100, k, *GREY_28[1:])
    parameters.requires_grad_()
    took = _milliseconds(lambda: likelihood.nll(parameters, x).sum().backward())
    return [
        f"K = {k}: a pixel and channel asks a decoder for so many numbers; own parameters {own:,}; "
        f"-log p(x|z) with gradients, 100 images of {GREY_28}, at any D: {took:.3g} ms"
    ]


def _model_costs(name: str, options: dict[str, Any]) -> list[str]:
    """Of one step of training, with the first plugins of their kinds where none is given."""
    import torch

    from tvae.models.base import Views
    from tvae.streams import Streams

    lines = []
    for dim in DIMS:
        filled = example(registry.models, name, options, dim)
        model, streams = registry.models.make(name, **filled), Streams(0)
        x, x_1, x_2 = torch.rand(3, 100, *GREY_28)
        size = f"{sum(p.numel() for p in model.parameters()):,} parameters"
        lines.append(f"D = {filled.get('latent_dim', model.latent_dim)}: {size}")
        if not model.trains:
            return lines
        views = Views(x_1, x_2) if model.uses_views else None

        def step(model: Any = model, x: Any = x, views: Any = views, draws: Any = streams) -> None:
            model.objective(x, views, draws)["loss"].backward()

        took = _milliseconds(step)
        lines[-1] += f"; the objective with gradients, batch of 100: {took:.3g} ms"
    return lines


def _milliseconds(step: Callable[[], object]) -> float:
    """The median of a few runs after one that warms up, on one thread."""
    import time
    from statistics import median

    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = []
        for _ in range(6):
            began = time.perf_counter()
            step()
            times.append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(threads)
    return 1000 * median(times[1:])
