"""Importance-weighted likelihoods against evidences that are known.

A linear Gaussian model has its evidence in closed form and an exact posterior; a Bernoulli decoder
over one or two latents can be integrated on a grid. An estimator that is right on both may be
believed where nothing is known.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from torch import Tensor, nn

from tvae.evaluation import likelihood
from tvae.evaluation.base import Context
from tvae.evaluation.likelihood import BLOCK, Groups, Likelihood, log_weights
from tvae.likelihoods.bernoulli import Bernoulli
from tvae.models.base import Model
from tvae.registry import families
from tvae.streams import Streams

PIXELS, D, NOISE = 784, 3, 2.0


def matrix(model: Model, x: Tensor, k: int, streams: Streams, decodes: int | None = None) -> Tensor:
    """All log weights, N k."""
    rows, row = [], []
    for tile in log_weights(model, x, k, streams, decodes):
        row.append(tile)
        if sum(part.shape[1] for part in row) == k:
            rows.append(torch.cat(row, 1))
            row = []
    assert not row
    return torch.cat(rows)


def marginal_nll(weights: Tensor, k: int) -> float:
    """-log (1/k) sum_j w_ij, averaged over the images and the disjoint groups of `k` samples."""
    groups = weights[:, : weights.shape[1] // k * k].unflatten(1, (-1, k))
    return float(-(torch.logsumexp(groups, 2) - np.log(k)).mean())


class LinearGaussian(Model):
    """x = W z + s eps, W with orthogonal columns: the exact posterior is a diagonal Gaussian.

    Args:
        blur: the posterior's deviations are multiplied by this; 1 is exact.
        shift: added to the posterior's means.
    """

    def __init__(self, blur: float = 1.0, shift: float = 0.0) -> None:
        nn.Module.__init__(self)
        self.latent_dim, self.blur, self.shift = D, blur, shift
        columns, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((PIXELS, D)))
        self.W = torch.from_numpy(columns * [3.0, 2.0, 0.5])

    def objective(self, x, views, streams):
        raise NotImplementedError

    def encode(self, x):
        precision = 1 + self.W.square().sum(0) / NOISE**2
        mean = x.flatten(1) @ self.W / NOISE**2 / precision
        logvar = -precision.log() + 2 * np.log(self.blur)
        return mean + self.shift, logvar.expand(len(x), -1)

    def log_likelihood(self, z, x):
        error = (x.flatten(1) - z @ self.W.T).square().sum(1) / NOISE**2
        return -0.5 * error - PIXELS * np.log(NOISE * np.sqrt(2 * np.pi))

    def draw(self, n: int) -> Tensor:
        """Images that it generates itself, N 1 28 28."""
        generator = torch.Generator().manual_seed(1)
        z = torch.randn(n, D, generator=generator, dtype=torch.float64)
        noise = torch.randn(n, PIXELS, generator=generator, dtype=torch.float64)
        return (z @ self.W.T + NOISE * noise).reshape(n, 1, 28, 28)

    def evidence(self, x: Tensor) -> np.ndarray:
        covariance = (self.W @ self.W.T).numpy() + NOISE**2 * np.eye(PIXELS)
        return multivariate_normal(np.zeros(PIXELS), covariance).logpdf(x.flatten(1).numpy())


def test_an_exact_posterior_gives_the_evidence_with_every_sample():
    model = LinearGaussian()
    x = model.draw(5)
    weights = matrix(model, x, 4, Streams(0))
    expected = np.broadcast_to(model.evidence(x)[:, None], (5, 4))
    np.testing.assert_allclose(weights, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("blur", "shift"), [(1.5, 0.0), (1.2, 0.3), (2.0, -0.2)])
def test_a_wrong_posterior_still_gives_the_evidence(blur, shift):
    """Within four standard errors of the estimate, which are small."""
    model = LinearGaussian(blur, shift)
    x = model.draw(5)
    weights = matrix(model, x, 8000, Streams(0)).numpy()
    evidence = model.evidence(x)
    share = np.exp(weights - evidence[:, None])  # of expectation 1
    error = share.std(1, ddof=1) / np.sqrt(share.shape[1])
    assert (error < 0.06).all()
    assert (np.abs(share.mean(1) - 1) < 4 * error).all()
    assert (weights.mean(1) < evidence - 0.05).all(), "the ELBO is below the evidence"


class SmallVAE(Model):
    """A Bernoulli decoder of few latents, and a posterior that is wide and off."""

    def __init__(self, latent_dim: int) -> None:
        nn.Module.__init__(self)
        self.latent_dim = latent_dim
        with torch.random.fork_rng():
            torch.manual_seed(0)
            hidden, pixels = nn.Linear(latent_dim, 16), nn.Linear(16, PIXELS)
        nn.init.normal_(pixels.weight, std=0.1, generator=torch.Generator().manual_seed(0))
        self.decoder = nn.Sequential(hidden, nn.Tanh(), pixels, nn.Unflatten(1, (1, 28, 28)))
        self.likelihood = Bernoulli()
        self.double()

    def objective(self, x, views, streams):
        raise NotImplementedError

    def encode(self, x):
        mean = 0.2 + x.flatten(1).mean(1, keepdim=True).expand(-1, self.latent_dim) - 0.5
        return mean, torch.full_like(mean, -0.3)


def integrated(model, x: Tensor) -> np.ndarray:
    """The log of the integral of p(x|z) pi(z) over a grid, N."""
    d = model.latent_dim
    axis = torch.linspace(-7, 7, {1: 2001, 2: 121}[d], dtype=torch.float64)
    grid = torch.cartesian_prod(*[axis] * d).reshape(-1, d)
    log_prior = -0.5 * grid.square().sum(1) - 0.5 * d * np.log(2 * np.pi)
    cell = d * np.log(float(axis[1] - axis[0]))
    out = []
    with torch.no_grad():
        logits = torch.cat([model.decoder(part) for part in grid.split(2000)])
        flat = logits.flatten(1)
        for image in x:
            # log p = x l - log(1 + e^l), pixel by pixel
            likelihood = flat @ image.flatten() - nn.functional.softplus(flat).sum(1)
            out.append(logsumexp((likelihood + log_prior).numpy()) + cell)
    return np.array(out)


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_a_bernoulli_decoder_integrated_on_a_grid(latent_dim):
    model = SmallVAE(latent_dim)
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(3, latent_dim, generator=generator, dtype=torch.float64)
    x = torch.bernoulli(model.generate(z).detach(), generator=generator)
    x[0] = model.generate(z[:1])[0].detach()  # grey
    evidence = integrated(model, x)
    weights = matrix(model, x, 4000, Streams(0)).numpy()
    share = np.exp(weights - evidence[:, None])
    error = share.std(1, ddof=1) / np.sqrt(share.shape[1])
    assert (error < 0.1).all()
    assert (np.abs(share.mean(1) - 1) < 4 * error).all()
    assert (weights.mean(1) < evidence - 0.1).all(), "a posterior that is exact shows nothing"


@pytest.mark.parametrize("decodes", [1, 7, 30, 64, 10_000])
@pytest.mark.parametrize("k", [5, 30])
def test_tiles_do_not_change_the_result(decodes, k):
    """Memory is a matter of the machine: the noise of a sample must not depend on it."""
    model = SmallVAE(2)
    x = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = matrix(model, x, k, Streams(0), decodes=4 * k)
    assert expected.shape == (4, k)
    found = matrix(model, x, k, Streams(0), decodes)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=0)


@pytest.mark.parametrize("decodes", [300, 1000, 3000, 6000])
def test_nor_do_they_when_an_image_has_more_samples_than_a_tile(decodes):
    model = LinearGaussian(blur=1.3)
    x, k = model.draw(3), 2 * BLOCK + 300
    expected = matrix(model, x, k, Streams(0), decodes=3 * k)
    found = matrix(model, x, k, Streams(0), decodes)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=0)
    # the noise of image by image, block by block, from one stream
    generator = Streams(0)("importance")
    for image, row in zip(x.split(1), expected, strict=True):
        noise = torch.cat(
            [
                torch.randn(n, D, generator=generator, dtype=torch.float64)
                for n in (BLOCK, BLOCK, 300)
            ]
        )
        mean, logvar = model.encode(image)
        z = mean + torch.exp(logvar / 2) * noise
        q = torch.distributions.Normal(mean, torch.exp(logvar / 2)).log_prob(z).sum(1)
        prior = torch.distributions.Normal(0, 1).log_prob(z).sum(1)
        by_hand = model.log_likelihood(z, image) + prior - q
        torch.testing.assert_close(row, by_hand, rtol=1e-9, atol=0)


def test_every_image_is_encoded_once_and_no_tile_is_larger_than_asked(monkeypatch):
    """10,000 images x 5,000 samples x 784 pixels would be 157 GB."""
    model, encoded, decoded = LinearGaussian(), [], []
    encode, log_likelihood = model.encode, model.log_likelihood
    model.encode = lambda x: encoded.append(len(x)) or encode(x)
    model.log_likelihood = lambda z, x: decoded.append(len(z)) or log_likelihood(z, x)
    monkeypatch.setattr(likelihood, "ENCODES", 3)
    x = model.draw(7)
    for k, decodes in ((10, 40), (10, 4), (1500, 400)):
        encoded.clear()
        decoded.clear()
        widths = [tile.numel() for tile in log_weights(model, x, k, Streams(0), decodes)]
        assert encoded == [3, 3, 1]
        assert max(decoded) <= decodes
        assert sum(decoded) == sum(widths) == 7 * k
        assert max(widths) <= max(decodes, BLOCK)


def test_the_noise_is_that_of_its_stream():
    model = LinearGaussian(blur=1.3)
    x, streams = model.draw(2), Streams(4)
    matrix(model, x, 3, streams)
    assert list(streams.state()) == ["importance"]
    other = matrix(model, x, 3, Streams(5))
    assert not torch.allclose(other, matrix(model, x, 3, Streams(4)))


def summed(weights: Tensor, k: int) -> Groups:
    groups = Groups(k)
    for block in weights.split(BLOCK, dim=1):
        groups.add(block)
    return groups


@pytest.mark.parametrize("samples", [7, 250, 2500])
def test_groups_are_averaged_outside_of_the_logarithm(samples):
    """Whether a group is a part of a block, a block or many blocks; the last few do not count."""
    weights = 5 * torch.randn(3, samples, generator=torch.Generator().manual_seed(0)).double()
    for k in (1, 2, 10, 100, 1000, 2000, samples):
        if k > samples:
            continue
        each = [
            [logsumexp(row[i : i + k]) - np.log(k) for i in range(0, samples - k + 1, k)]
            for row in weights.numpy()
        ]
        np.testing.assert_allclose(summed(weights, k).mean(), np.mean(each, 1), rtol=1e-12)


def test_a_sum_of_weights_that_no_float_holds():
    """Log weights are hundreds of nats below 0."""
    weights = torch.full((1, 3000), -2000.0, dtype=torch.float64)
    assert summed(weights, 3000).mean().item() == pytest.approx(-2000, rel=1e-12)


@pytest.fixture
def measured(noisy_data):
    def measured(model, **options):
        context = Context(model.float(), families.make("none"), {"noise": noisy_data}, "test", 0)
        return {m.name: m.value for m in Likelihood(**options)(context)}

    return measured


def test_the_bound_tightens_with_k(measured):
    """Jensen: on the same samples, in nested groups, without any luck."""
    found = measured(SmallVAE(2), k=1000, images=4)
    assert list(found) == ["nll", "nll/curve/10", "nll/curve/100", "nll/ess", "elbo"]
    assert found["nll"] < found["nll/curve/100"] < found["nll/curve/10"] < -found["elbo"]
    assert 1e-3 <= found["nll/ess"] < 1


@pytest.mark.parametrize("blur", [1.0, 1.3])
def test_the_effective_sample_size(blur, noisy_data):
    """1 with an exact posterior; otherwise (sum w)^2 / (k sum w^2), averaged over the images."""
    model = LinearGaussian(blur)

    class Drawn:
        seed = 0
        sample = staticmethod(model.draw)
        progress = staticmethod(lambda what, done, total: None)

    context = Drawn()
    context.model = model
    found = {m.name: m.value for m in Likelihood(k=50, images=4)(context)}
    weights = matrix(model, model.draw(4), 50, Streams(0)).numpy()
    w = np.exp(weights - weights.max(1, keepdims=True))
    expected = np.mean(w.sum(1) ** 2 / (50 * (w**2).sum(1)))
    assert found["nll/ess"] == pytest.approx(expected, rel=1e-9)
    assert (found["nll/ess"] == pytest.approx(1, abs=1e-6)) == (blur == 1)
    assert found["elbo"] == pytest.approx(weights.mean(), rel=1e-12)
    nll = -(logsumexp(weights, 1) - np.log(50)).mean()
    assert found["nll"] == pytest.approx(nll, rel=1e-12)


@pytest.mark.parametrize(("k", "blur", "few"), [(50, 1.0, False), (9, 1.0, True), (50, 9.0, True)])
def test_too_few_effective_samples_are_warned_of(k, blur, few):
    """An exact posterior has all k of them; one that is far too wide loses most of any k."""
    model = LinearGaussian(blur)

    class Drawn:
        seed = 0
        sample = staticmethod(model.draw)
        progress = staticmethod(lambda what, done, total: None)

    context = Drawn()
    context.model = model
    found = {m.name: m for m in Likelihood(k=k, images=4)(context)}
    weights = matrix(model, model.draw(4), k, Streams(0)).numpy()
    w = np.exp(weights - weights.max(1, keepdims=True))
    assert (np.mean(w.sum(1) ** 2 / (w**2).sum(1)) < 10) == few
    said = f"fewer than 10 effective of {k} importance samples, too few to rank arms by"
    assert found["nll"].warning == (said if few else "")
    assert not any(m.warning for name, m in found.items() if name != "nll")


def test_one_sample_is_the_elbo(measured):
    found = measured(SmallVAE(2), k=1, images=3)
    assert list(found) == ["nll", "nll/ess", "elbo"]
    assert found["nll"] == pytest.approx(-found["elbo"], rel=1e-12)
    assert found["nll/ess"] == 1


def test_the_whole_curve_of_many_blocks(measured, noisy_data):
    """Added up tile by tile, as from the matrix of all weights."""
    model = SmallVAE(2)
    found = measured(model, k=2300, images=3)
    context = Context(model, families.make("none"), {"noise": noisy_data}, "test", 0)
    weights = matrix(model, context.sample(3), 2300, Streams(0))
    for k in (10, 100, 1000):
        assert found[f"nll/curve/{k}"] == pytest.approx(marginal_nll(weights, k), rel=1e-9)
    assert found["nll"] == pytest.approx(marginal_nll(weights, 2300), rel=1e-9)
    assert found["elbo"] == pytest.approx(float(weights.mean()), rel=1e-9)
    w = (weights - weights.amax(1, keepdim=True)).exp()
    ess = (w.sum(1).square() / (2300 * w.square().sum(1))).mean()
    assert found["nll/ess"] == pytest.approx(float(ess), rel=1e-9)


def test_progress_is_told_to_its_end(noisy_data):
    told = []
    context = Context(SmallVAE(2).float(), families.make("none"), {"noise": noisy_data}, "test", 0)
    context.progress = lambda *arguments: told.append(arguments)
    Likelihood(k=2000, images=5)(context)
    assert told[-1] == ("nll", 10_000, 10_000)
    assert [done for _, done, _ in told] == sorted({done for _, done, _ in told})
    assert len(told) > 2
