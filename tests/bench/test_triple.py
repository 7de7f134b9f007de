"""Three plugins together: a real training, and a page about many, that say so when it goes wrong.

A triple that passes whatever happens would turn the matrix of all of them into a decoration.
"""

from __future__ import annotations

import json
import re

import pytest

from bench import triple
from reports import triples
from tvae import registry


def ran(capsys, *arguments: str) -> tuple[int, str]:
    status = triple.main(list(arguments))
    out, err = capsys.readouterr()
    return status, out + err


@pytest.fixture(scope="module")
def works(tmp_path_factory):
    """A triple with a form that has weights of its own, as tox runs it."""
    out = tmp_path_factory.mktemp("triples")
    status = triple.main(
        ["matrix-lie_basis-energy-translation", "data=mnist_small", f"out={out}", "steps=60"]
    )
    return status, out


def test_a_triple_trains_and_keeps_its_contracts(works):
    status, out = works
    assert status == 0
    found = json.loads((out / "lie_basis-energy-translation.json").read_text())
    assert found["problems"] == []
    assert [at["step"] for at in found["curve"]] == [0, 10, 20, 30, 40, 50, 60]
    start, end = found["curve"][0]["nats"], found["curve"][-1]["nats"]
    # 784 pixels of an untrained decoder, log 2 nats each
    assert 450 < start < 700
    assert end < 2 / 3 * start
    assert found["fall"] == pytest.approx(1 - end / start)
    assert found["gradients"].keys() == {"T", "h_xi", "r"}
    assert all(norm > 0 for norm in found["gradients"].values())
    assert {part["name"] for part in found["contracts"].values()} == {
        "lie_basis",
        "energy",
        "translation",
    }
    assert all(part["passed"] > 10 for part in found["contracts"].values())


def test_a_training_that_is_too_short_fails(capsys, tmp_path):
    status, said = ran(capsys, "additive-kl-rotation", f"out={tmp_path}", "steps=1")
    assert status == 1
    assert re.search(
        r"FAILED: the held-out reconstruction loss fell too little: .* in 1 steps", said
    )
    assert (tmp_path / "additive-kl-rotation.json").exists()


DEAF = '''
import torch
from tvae.latent_transforms import LatentTransform

class Deaf(LatentTransform):
    """r(z, T) = z, which hears nothing of T."""

    claims = frozenset({"inverse", "identity", "abelian", "norm"})
    parameter_shape = property(lambda self: (self.latent_dim,))

    def forward(self, z, t):
        return z + 0 * t

    inverse = forward
'''


def test_a_form_without_gradients_fails_and_so_does_its_contract(capsys, tmp_path):
    (tmp_path / "deaf.py").write_text(DEAF)
    before = dict(registry._FILES)
    try:
        status, said = ran(
            capsys, "deaf-kl-rotation", f"plugins={tmp_path}/deaf.py", f"out={tmp_path}", "steps=2"
        )
    finally:
        registry._FILES.clear()
        registry._FILES.update(before)
    assert status == 1
    assert "FAILED: T received no finite gradient (norm 0)" in said
    assert "contract of the latent_transform deaf: test_the_identity_does_not_stop_learning" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["additive-kl"], "name FORM-DIVERGENCE-FAMILY, got additive-kl"),
        (["additive-kl-rotatoin"], "did you mean 'rotation'?"),
        (["additive-kl-rotation", "steps=0"], "steps must be a whole number of at least 1, got 0"),
        (["additive-kl-rotation", "step=3"], "unknown argument 'step'; did you mean 'steps'?"),
        (["additive-kl-rotation", "data=mnits_small"], "did you mean 'mnist_small'?"),
        (["additive-kl-rotation", "~out"], "~out: there is nothing to delete here"),
    ],
)
def test_mistakes_are_answered(capsys, arguments, message):
    status, said = ran(capsys, *arguments)
    assert status == 2
    assert message in said


def test_the_page_of_triples_that_work(works, capsys):
    _, out = works
    assert triples.main([str(out)]) == 0
    html = (out / "index.html").read_text()
    assert "All 1 work" in html
    assert 'href="#lie_basis-energy-translation"' in html
    assert 'id="lie_basis-energy-translation"' in html
    assert 'href="lie_basis-energy-translation.json"' in html
    assert capsys.readouterr().out.strip() == str(out / "index.html")


def test_the_page_names_what_failed_and_what_was_not_run(works, tmp_path, capsys):
    _, out = works
    found = json.loads((out / "lie_basis-energy-translation.json").read_text())
    bad = {**found, "form": "<b>bad</b>", "divergence": "kl", "problems": ["<i>it</i> broke"]}
    for name, content in (("a-b-c", found), ("d-e-f", bad)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    assert triples.main([str(tmp_path)]) == 1
    html = (tmp_path / "index.html").read_text()
    assert "1 of 4 work; 1 failed, 2 were not run" in html
    assert "<b>bad" not in html
    assert "<i>it" not in html
    assert html.count("not run</td>") == 2
    said = capsys.readouterr().err
    assert "FAILED: <b>bad</b>-kl-translation: <i>it</i> broke" in said
    assert "FAILED: lie_basis-kl-translation: was not run" in said


def test_a_folder_without_results_or_with_others(tmp_path, capsys):
    assert triples.main([str(tmp_path)]) == 2
    (tmp_path / "a-b-c.json").write_text('{"form": "a"}')
    assert triples.main([str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "no FORM-DIVERGENCE-FAMILY.json in" in said
    assert "a-b-c.json is no result of bench.triple: KeyError('divergence')" in said
