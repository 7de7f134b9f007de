"""A model of somebody's own that is made of more plugins than ours.

Its options that name plugins are as good as ours: a change of such a plugin's source trains anew
(stale weights would be reported as fresh), their defaults are spelled out, their mistakes are told
with their path, and what they declare is tuned.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from harness import TINY, write

MODEL = '''
"""An autoencoder with a decoy beside its prior."""

from typing import Any, ClassVar

from tvae import registry
from tvae.models.base import Model, Terms, Views, summed


class Decoyed(Model):
    """L = -log p(x|z) + w_decoy times nothing."""

    parts: ClassVar[dict[str, Any]] = {"decoy": registry.divergences}

    def __init__(
        self,
        latent_dim: int,
        decoy: registry.Reference,
        w_decoy: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__(latent_dim, seed)
        self.decoy = registry.divergences.build(decoy)
        self.w_decoy = w_decoy

    def objective(self, x, views: Views | None, streams) -> Terms:
        (q,) = self.posteriors([x], streams)
        (nll,) = self.reconstructions([q.sample], [x])
        return summed({"reconstruction": nll})
'''
SHADOW = '''
"""A divergence that sees nothing."""

from typing import ClassVar

from tvae.divergences.base import Divergence
from tvae.space import Float, Space


class Shadow(Divergence):
    """D = 0."""

    space: ClassVar[Space] = {"depth": Float(0.1, 2.0, 1.0)}

    def __init__(self, depth: float = 1.0, wide: bool = False) -> None:
        super().__init__()
        self.depth = depth

    def at_unit_shift(self, latent_dim):
        return 1.0

    def forward(self, q, p, given=None, noise=None):
        return 0.0 * q.sample.sum()
'''
PLANNED = """
import json, sys
from bench.plan.trials import World, plan
from bench.study.resolve import resolve
study, _ = resolve(sys.argv[1:])
found = plan(study, World({"mnist": "0"}, "2.0", "cpu"))
print(json.dumps({t.arm: [t.training_key, t.config] for t in found}))
"""
ARGUMENTS = ("study=tiny.yaml", "plugins=[decoyed.py,shadow.py]", "seeds=1")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "decoyed.py").write_text(MODEL)
    (tmp_path / "shadow.py").write_text(SHADOW)
    mine = {"model": {"name": "decoyed", "decoy": "shadow"}}
    write(
        tmp_path,
        family="rotation",
        arms={"vae": TINY["arms"]["vae"], "mine": mine},
        primary={**TINY["primary"], "treatment": "mine"},
    )
    return tmp_path


def python(folder, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, which alone knows the plugin files."""
    command = [sys.executable, "-c", code, *ARGUMENTS, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def planned(folder) -> dict:
    done = python(folder, PLANNED)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_changed_part_trains_anew_and_its_defaults_are_told(folder):
    before = planned(folder)
    (folder / "shadow.py").write_text(SHADOW.replace("0.0 * q", "1.0 * q"))
    after = planned(folder)
    assert after["mine"][0] != before["mine"][0], "the weights of the old source would be reused"
    assert after["vae"] == before["vae"]
    model = before["mine"][1]["model"]
    assert model["decoy"] == {"name": "shadow", "depth": 1.0, "wide": False}
    assert model["w_decoy"] == 1.0


CHECKED = """
import sys
from bench.run import main
sys.exit(main([*sys.argv[1:], "dry_run=true"]))
"""


def test_a_mistake_in_a_part_is_told_with_its_path(folder):
    done = python(folder, CHECKED, "arms.mine.model.decoy.dept=2.0")
    assert done.returncode == 2
    assert done.stderr == (
        "error: arms.mine.model.decoy.dept: unknown option of the divergence 'shadow': 'dept'; "
        "did you mean 'depth'? (known: depth, wide)\n"
    )


SEARCHED = """
import sys
from bench.study.resolve import resolve
from bench.study.space import search_space
study, _ = resolve(sys.argv[1:])
print(*search_space(study.setups["mine"]))
"""


def test_what_a_part_declares_is_tuned(folder):
    assert python(folder, SEARCHED).stdout.split() == [
        "trainer.learning_rate",
        "model.decoy.depth",
    ]
