"""The contracts of the three plugins, and what only each of them knows."""

from __future__ import annotations

from math import pi

import torch
from tvae_spiral.gaussian_wasserstein import GaussianWasserstein
from tvae_spiral.spiral import Spiral
from tvae_spiral.wave import Wave

from tvae.divergences import Side
from tvae.testing import DivergenceContract, FamilyContract, LatentTransformContract


class TestSpiral(LatentTransformContract):
    plugin = Spiral

    def test_it_multiplies_complex_numbers(self):
        z, t = torch.randn(2, 5, 6, dtype=torch.float64)
        expected = torch.complex(*z.chunk(2, 1)) * torch.exp(torch.complex(*t.chunk(2, 1)))
        found = torch.complex(*Spiral(6)(z, t).chunk(2, 1))
        torch.testing.assert_close(found, expected)


class TestGaussianWasserstein(DivergenceContract):
    plugin = GaussianWasserstein
    options = ({}, {"scale": 0.1})

    def double_loop(self, divergence, q, p, given):
        total = 0.0
        for i in range(len(q.mean)):
            for d in range(q.mean.shape[1]):
                total += float(q.mean[i, d] - p.sample[i, d]) ** 2
                total += (float(q.logvar[i, d].mul(0.5).exp()) - divergence.scale) ** 2
        return total / len(q.mean)

    def test_a_shift_costs_its_square(self):
        zeros = torch.zeros(4, 3)
        pi_, moved = Side(zeros, zeros, zeros), Side(zeros + 2, zeros + 2, zeros)
        assert float(GaussianWasserstein()(pi_, moved)) == 12


class TestWave(FamilyContract):
    plugin = Wave
    options = ({}, {"waves": 2.0, "max_shift": 0.1})

    def test_whole_pixels(self):
        """Half a wave: the rows in the middle move by their own number of pixels."""
        x = torch.zeros(1, 1, 8, 8)
        x[..., 3] = 1
        f = {"shift": torch.tensor([2 / 8]), "phase": torch.tensor([pi / 2])}
        moved = Wave(max_shift=0.25, waves=1e-6).apply(x, f)
        assert torch.allclose(moved, torch.roll(x, 2, dims=3), atol=1e-4)
