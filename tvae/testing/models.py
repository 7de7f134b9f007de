"""What every model promises.

Arms of a study may have different models, so all that is not the model's own has to be the same:
what a seed decides, how images are embedded, that the loss is the sum of the terms that are shown.

Legend: `B` batch, `D` latent size, `P` size of T, `S` side of a square image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, get_args

import pytest
import torch
from torch import Tensor

from tvae import registry
from tvae.models.base import Model, Terms, Views, completed
from tvae.registry import Registry
from tvae.streams import Streams
from tvae.testing.contract import Contract, label


class ModelContract(Contract):
    """The promises of a model.

    Options that name a plugin and are needed need not be given: the first of its kind will do.

    Attributes:
        batch: B.
        dim: D, for a model that lets a study choose it.
    """

    registry = registry.models
    batch: ClassVar[int] = 8
    dim: ClassVar[int] = 4

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Run what asks for `settings` with each of the options."""
        if "settings" in metafunc.fixturenames:
            metafunc.parametrize("settings", self.options, ids=label)

    def make(self, settings: Mapping[str, Any], seed: int = 0) -> Model:
        """The model in float64."""
        owner = self.owner()
        made: Model = owner(**completed(owner, settings, self.dim), seed=seed)
        return made.double()

    def trained(self, settings: Mapping[str, Any]) -> Model:
        """The same, of a model that is trained."""
        if not self.owner().trains:
            pytest.skip("is not trained")
        return self.make(settings)

    def images(self, side: int = 28) -> tuple[Tensor, Views]:
        """(x, views) in float64: noise, as good as digits for laws that hold for any image."""
        generator = torch.Generator().manual_seed(0)
        x, x_1, x_2 = torch.rand(3, self.batch, 1, side, side, generator=generator).double()
        return x, Views(x_1, x_2)

    def terms(self, model: Model, seed: int = 0) -> Terms:
        """The objective of one batch, with the views that the model wants."""
        x, views = self.images()
        return model.objective(x, views if model.uses_views else None, Streams(seed))

    def test_its_parts_are_options_that_name_a_kind(self) -> None:
        """Of a part that is not declared a changed source would not train anew."""
        known = registry.options_of(self.owner())
        for option, kind in self.owner().parts.items():
            assert option in known, f"parts names {option!r}, which is no option"
            assert isinstance(kind, Registry), f"parts[{option!r}] is no kind of plugin"
        reference = {*get_args(registry.Reference)}
        for option, hint in registry.hints_of(self.owner()).items():
            if reference <= {*get_args(hint)}:
                assert option in self.owner().parts, (
                    f"{option} names a plugin that parts leaves out"
                )

    def test_the_seed_is_the_trial_s(self) -> None:
        """An option ``seed``, which no configuration holds."""
        assert "seed" in registry.options_of(self.owner())

    def test_what_no_seed_decides_is_the_same_for_each(self, settings: Mapping[str, Any]) -> None:
        """A model that says so embeds alike whatever the seed, and is not trained."""
        if self.owner().seeded:
            pytest.skip("the seed decides something")
        assert not self.owner().trains
        x = self.images()[0][:, 0].repeat(8, 1, 1)  # as many images as D at least
        one, other = (self.make(settings, seed) for seed in (0, 1))
        for model in (one, other):
            model.fit(x)
        assert torch.equal(one.embed(x), other.embed(x))

    def test_a_latent_size_of_nothing_is_refused(self) -> None:
        """With a `ValueError` that says what is wrong."""
        if "latent_dim" not in registry.options_of(self.owner()):
            pytest.skip("has a size of its own")
        for dim in (0, -3):
            with pytest.raises(ValueError, match="latent_dim"):
                self.owner()(**completed(self.owner(), {"latent_dim": dim}, dim), seed=0)

    def test_the_loss_is_the_sum_of_its_terms(self, settings: Mapping[str, Any]) -> None:
        """Which are finite scalars: the curves show them, and a reader adds them up."""
        terms = self.terms(self.trained(settings))
        for name, term in terms.items():
            assert term.shape == (), f"{name} is no scalar"
            assert torch.isfinite(term), f"{name} is {term}"
        assert len(terms) > 1, "no term but the loss"
        total = sum(float(term.detach()) for name, term in terms.items() if name != "loss")
        loss = float(terms["loss"].detach())
        self.measured("loss = sum of its terms", abs(loss - total) / abs(loss), 1e-10)

    def test_gradients_reach_the_encoder_and_the_decoder(self, settings: Mapping[str, Any]) -> None:
        """And are finite wherever they get to."""
        model = self.trained(settings)
        self.terms(model)["loss"].backward()
        for name, weight in model.named_parameters():
            assert weight.grad is None or torch.isfinite(weight.grad).all(), name
        for part in ("encoder", "decoder"):
            norms = [w.grad.norm() for w in getattr(model, part).parameters() if w.grad is not None]
            reached = float(torch.stack(norms).norm()) if norms else 0.0
            self.measured(f"gradient of the {part}", reached, 1e-12, lower=True)

    def test_a_seed_fixes_the_weights_and_the_loss(self, settings: Mapping[str, Any]) -> None:
        """Bit for bit, whatever torch's own generator did in between."""
        first = self.make(settings)
        torch.rand(5)
        again, other = self.make(settings), self.make(settings, seed=1)
        weights = dict(first.named_parameters())
        for name, weight in again.named_parameters():
            assert torch.equal(weight, weights[name]), name
        if weights:
            differ = [not torch.equal(w, weights[name]) for name, w in other.named_parameters()]
            assert any(differ), "another seed gives the same weights"
        if first.trains:
            losses = [float(self.terms(model)["loss"].detach()) for model in (first, again)]
            assert losses[0] == losses[1]

    def test_shared_layers_are_those_of_every_model(self, settings: Mapping[str, Any]) -> None:
        """What pairs the arms at a seed: encoder and decoder start from the same weights."""
        model, streams = self.make(settings), Streams(0)
        if not hasattr(model, "network"):
            pytest.skip("has neither the usual encoder nor the usual decoder")
        for name, more in (("encoder", ()), ("decoder", (model.likelihood.outputs,))):
            with streams.initialising(name):
                built = getattr(model.network, name)(model.shape, model.latent_dim, *more)
            usual = built.double().state_dict()
            for key, weight in getattr(model, name).state_dict().items():
                assert torch.equal(weight, usual[key]), f"{name}.{key}"

    def test_an_embedding_does_not_depend_on_the_batch(self, settings: Mapping[str, Any]) -> None:
        """N D, on the CPU; the same twice, for bytes and for floats, up to rounding."""
        model, (x, _) = self.make(settings), self.images()
        whole = model.embed(x)
        assert whole.shape == (self.batch, model.latent_dim)
        assert whole.device.type == "cpu"
        assert not whole.requires_grad
        assert torch.equal(model.embed(x), whole)
        scale = float(whole.norm())
        parts = float((model.embed(x, batch_size=3) - whole).norm()) / scale
        self.measured("E(x) in batches of 3", parts, 1e-6)
        grey = (255 * x).round().to(torch.uint8)
        bytes_ = float((model.embed(grey) - model.embed(grey.double() / 255)).norm()) / scale
        self.measured("E(x) of bytes", bytes_, 1e-6)
        assert model.embed(x[:0]).shape[0] == 0

    def test_what_is_encoded_and_generated_has_its_shape(self, settings: Mapping[str, Any]) -> None:
        """Mean and log-variance B D; pixel means B 1 28 28 in [0, 1]; log p(x|z) B."""
        model, (x, _) = self.make(settings), self.images()
        if not model.generates:
            pytest.skip("decodes nothing")
        mean, logvar = model.encode(x)
        assert mean.shape == logvar.shape == (self.batch, model.latent_dim)
        pixels = model.generate(mean)
        assert pixels.shape == x.shape
        assert ((pixels >= 0) & (pixels <= 1)).all()
        likelihood = model.log_likelihood(mean, x)
        assert likelihood.shape == (self.batch,)
        assert torch.isfinite(likelihood).all()

    def test_it_infers_T_if_it_says_so(self, settings: Mapping[str, Any]) -> None:
        """T is B P, of the form `r`, which takes it; z is inferred from the views, too."""
        model, (x, views) = self.make(settings), self.images()
        if not model.has_T:
            assert not hasattr(model, "infer_T"), "infers T, and has_T says that it does not"
            return
        made: Any = model
        z_1, z_2 = (model.encode(view)[0] for view in (views.x_1, views.x_2))
        t = made.infer_T(z_1, z_2)
        assert t.shape == (self.batch, made.r.parameter_size)
        mean, logvar = made.infer_z(z_1, z_2)
        assert mean.shape == logvar.shape == (self.batch, model.latent_dim)
        assert made.r(model.encode(x)[0], t).shape == (self.batch, model.latent_dim)

    def test_it_trains_without_views(self, settings: Mapping[str, Any]) -> None:
        """Where the family has no transformation but the identity, there are none."""
        model, (x, _) = self.trained(settings), self.images()
        assert torch.isfinite(model.objective(x, None, Streams(0))["loss"])
