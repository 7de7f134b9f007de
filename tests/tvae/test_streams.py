"""Random streams are told apart by name and by nothing else: that is what pairs two arms.

A comparison of forms at one seed is a comparison only if both saw the same images, the same
transformations and the same first weights, however much noise each of them uses.
"""

from __future__ import annotations

import hashlib
import itertools

import pytest
import torch
from torch import nn

from tvae.streams import Streams, derive_seed

NAMES = ("views", "posterior/0", "prior", "batches/0", "batches/1", "init/encoder")


def draw(streams: Streams, name: str, n: int = 5) -> list[float]:
    return torch.randn(n, generator=streams(name)).tolist()


def test_a_seed_is_the_head_of_a_hash_of_seed_and_name():
    digest = hashlib.sha256(b"7/views").hexdigest()
    assert derive_seed(7, "views") == int(digest[:16], 16) // 2
    seeds = [derive_seed(s, n) for s, n in itertools.product(range(-3, 300), NAMES)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(1, "1/x") != derive_seed(11, "/x")


def test_drawing_from_one_stream_shifts_no_other():
    quiet, busy = Streams(0), Streams(0)
    for name in NAMES[1:]:
        draw(busy, name, 1000)
    torch.rand(10)
    assert draw(quiet, "views") == draw(busy, "views")


def test_seeds_and_names_give_different_draws():
    draws = [draw(Streams(seed), name) for seed in range(4) for name in NAMES]
    assert len({tuple(values) for values in draws}) == len(draws)


def test_streams_of_one_seed_are_uncorrelated():
    streams = Streams(0)
    noise = torch.stack([torch.randn(20_000, generator=streams(name)) for name in NAMES])
    off = torch.corrcoef(noise) - torch.eye(len(NAMES))
    assert off.abs().max() < 4 / 20_000**0.5


def test_noise_is_like_what_it_is_added_to():
    for dtype in (torch.float32, torch.float64):
        like = torch.empty(2, 3, dtype=dtype)
        noise = Streams(0).normal("prior", like)
        assert noise.dtype == dtype
        assert noise.shape == like.shape


def test_state_round_trip():
    streams = Streams(4)
    for name in NAMES[:3]:
        draw(streams, name, 17)
    state = {name: value.clone() for name, value in streams.state().items()}
    expected = [draw(streams, name) for name in NAMES]
    other = Streams(4)
    draw(other, "prior", 3)
    draw(other, "batches/1", 3)  # used by the other alone: must start anew
    other.load_state(state)
    assert sorted(other.state()) == sorted(NAMES[:3])
    assert [draw(other, name) for name in NAMES] == expected


def test_initialising_is_decided_by_seed_and_name():
    def layer(seed: int, name: str, before: int) -> torch.Tensor:
        torch.manual_seed(before)
        with Streams(seed).initialising(name):
            return nn.Linear(3, 3).weight

    assert torch.equal(layer(0, "encoder", before=1), layer(0, "encoder", before=2))
    assert not torch.equal(layer(0, "encoder", before=1), layer(1, "encoder", before=1))
    assert not torch.equal(layer(0, "encoder", before=1), layer(0, "decoder", before=1))


def test_initialising_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with Streams(0).initialising("encoder"):
        nn.Linear(3, 3)
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(ZeroDivisionError), Streams(0).initialising("encoder"):
        nn.Linear(3, 1 // 0)
    assert torch.equal(torch.get_rng_state(), before)
