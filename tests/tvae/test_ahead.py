"""What a thread draws ahead is what would have been drawn, and nobody can tell that it was there.

A seed means the same draws on a CPU, which draws when it is asked, and on a GPU, for which a thread
draws before. Forced on the CPU both ways must agree bit for bit: weights, records, checkpoints, and
what resumes from them, in whatever way it goes on.
"""

from __future__ import annotations

import threading

import pytest
import torch

import tvae
from tvae import registry
from tvae.families.base import TransformationFamily
from tvae.streams import Streams
from tvae.trainer import State, Training, fit

B, SEED = 8, 5
IMAGES = torch.randint(
    0, 256, (34, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
TVAE = {"name": "tvae", "latent_dim": 4, "hidden": 8, "latent_transform": "matrix"}
CONFIGS = {
    "matrix": {**TVAE, "coherence": "mmd", "prior": "mmd", "w_prior_T": 1.0, "T_dim": 2},
    "raw": {**TVAE, "coherence": "sliced_wasserstein", "prior": "sliced_wasserstein"},
    "views": {"name": "autoencoder", "latent_dim": 4, "prior": "mmd", "views": True},
    "no views": {"name": "autoencoder", "latent_dim": 4, "prior": "kl"},
}
CPU = torch.device("cpu")


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("draws")]


def drawing_states(state: State) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in state.tensors()[0].items()}


def run(config, ahead, family="rotation", checkpoint=None, views=2):
    """(final tensors, records without their times, checkpoints at every other step)."""
    state, saved = State.start(tvae.build(config, SEED), SEED), {}
    if checkpoint is not None:
        step, tensors = checkpoint
        state.load({name: tensor.clone() for name, tensor in tensors.items()}, {"step": step})
    training = Training(9, B, record_every=4, checkpoint_every=2, views=views)
    save = lambda state: saved.__setitem__(state.step, drawing_states(state))  # noqa: E731
    family = registry.families.build(family)
    records = list(fit(state, IMAGES, family, training, save=save, ahead=ahead))
    for record in records:
        del record["seconds"]
    assert threads() == []
    return drawing_states(state), records, saved


def same(one, other) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_nothing_tells_that_it_was_drawn_ahead(config):
    weights, records, saved = run(config, False)
    found = run(config, True)
    same(found[0], weights)
    assert found[1] == records
    assert found[2].keys() == saved.keys() == {2, 4, 6, 8}
    for step in saved:
        same(found[2][step], saved[step])
    for step in (2, 6):  # in the middle of an epoch and of the time between two records
        for ahead in (False, True):
            same(run(config, ahead, checkpoint=(step, found[2][step]))[0], weights)


@pytest.mark.parametrize(("family", "views"), [("superpixel", 2), ("rotation_crop", 3)])
def test_of_every_way_to_make_views(family, views):
    config = CONFIGS["matrix"]
    weights, records, _ = run(config, False, family, views=views)
    found = run(config, True, family, views=views)
    same(found[0], weights)
    assert found[1] == records


def test_the_draws_are_made_by_the_thread_and_before_they_are_asked_for():
    """The control: the tests above compare two ways, not one with itself."""
    state = State.start(tvae.build(CONFIGS["matrix"], SEED), SEED)
    family, drew = registry.families.make("rotation"), []
    draw = family.draw

    def spy(n, generator):
        drew.append(threading.current_thread().name)
        return draw(n, generator)

    family.draw = spy
    loop = fit(state, IMAGES, family, Training(9, B, record_every=1), ahead=True)
    next(loop)
    loop.close()  # waits for what is being drawn
    assert {name.partition("_")[0] for name in drew} == {"draws"}
    assert len(drew) > 1, "after one step the next one's views are there, or being made"


# --- ways out -----------------------------------------------------------------------------------


class Breaks(TransformationFamily):
    """Its third draw raises."""

    inverse = "exact"

    def __init__(self) -> None:
        self.draws = 0

    def draw(self, n, generator):
        self.draws += 1
        if self.draws == 3:
            raise LookupError("no third draw")
        return {"angle": torch.rand(n, generator=generator)}

    def apply(self, x, parameters):
        return x

    def invert(self, parameters):
        return parameters


def started(**more):
    state = State.start(tvae.build(CONFIGS["views"], SEED), SEED)
    training = Training(9, B, record_every=1)
    family = more.pop("family", registry.families.make("rotation"))
    return state, fit(state, IMAGES, family, training, ahead=True, **more)


def test_what_the_thread_raises_is_raised_by_the_loop_when_its_turn_has_come():
    state, loop = started(family=Breaks())
    assert [next(loop)["step"], next(loop)["step"]] == [1, 2]
    with pytest.raises(LookupError, match="no third draw"):
        next(loop)
    assert state.step == 2
    assert threads() == []


def test_the_thread_ends_with_the_loop():
    state, loop = started()
    next(loop)
    assert len(threads()) == 1
    loop.close()
    assert threads() == []

    state, loop = started(stop=lambda: True, save=lambda state: None)
    list(loop)
    assert (state.step, threads()) == (1, [])

    state, loop = started()
    state.model.objective = lambda *_: 1 / 0
    with pytest.raises(ZeroDivisionError):
        next(loop)
    assert threads() == []

    state, loop = started()
    next(loop)
    del loop
    assert threads() == []


def test_after_the_loop_the_streams_go_on_where_it_ended():
    """Closed in between: the generators are where the last step that was done left them."""
    states = []
    for ahead in (True, False):
        state = State.start(tvae.build(CONFIGS["views"], SEED), SEED)
        loop = fit(
            state, IMAGES, registry.families.make("rotation"), Training(9, B, record_every=2),
            ahead=ahead,
        )  # fmt: skip
        next(loop)
        loop.close()
        states.append({name: state.streams(name).get_state() for name in state.streams.state()})
    same(*states)


# --- streams ------------------------------------------------------------------------------------


def asked(streams: Streams) -> list[torch.Tensor]:
    """Requests of changing shapes and types, of several streams, with states in between."""
    found = []
    for i, size in enumerate((3, 3, 3, 5, 3, 3, 7, 7, 7, 7)):
        for name in ("a", "b"):
            dtype = torch.float64 if i == 5 else torch.float32
            found.append(streams.normal(name, torch.empty(size, 2, dtype=dtype)))
        found.append(streams.state()["a"].clone())
    return found


def test_a_stream_whose_shapes_change():
    expected = asked(Streams(1))
    streams = Streams(1)
    with streams.ahead(CPU):
        found = asked(streams)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    same(streams.state(), {"a": found[-1], "b": streams.state()["b"]})


def with_a_generator(streams: Streams) -> list[torch.Tensor]:
    like = torch.empty(4)
    found = [streams.normal("a", like), streams.normal("a", like)]
    generator = streams("a")
    found += [torch.rand(3, generator=generator), streams.normal("a", like)]
    # held, and used again without asking for it
    found += [torch.rand(3, generator=generator), streams.normal("a", like)]
    return [*found, streams.state()["a"]]


def test_whoever_takes_the_generator_itself_finds_it_where_it_should_be():
    expected = with_a_generator(Streams(1))
    streams = Streams(1)
    with streams.ahead(CPU):
        found = with_a_generator(streams)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_a_state_is_loaded_in_the_middle():
    like = torch.empty(4)
    streams = Streams(1)
    with streams.ahead(CPU):
        streams.normal("a", like)
        state = {name: value.clone() for name, value in streams.state().items()}
        expected = [streams.normal("a", like) for _ in range(3)]
        streams.load_state(state)
        found = [streams.normal("a", like) for _ in range(3)]
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
