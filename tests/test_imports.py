"""Who may know whom, read off the source.

tvae -> reports -> bench: the arrow points one way. Workers know neither MLflow nor Optuna, so that
tracking cannot touch a result. No code outside a plugin knows a plugin by name, or the comparison
would not be fair. Nothing that is read back is a pickle.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tvae import data, registry

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(
    path
    for package in ("tvae", "reports", "bench", "scripts")
    for path in (ROOT / package).rglob("*.py")
)
DRIVER_ONLY = {"mlflow", "optuna"}
HARNESS = {*DRIVER_ONLY, "pandas", "omegaconf", "pydantic", "ray", "rich", "yaml"}
PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str, name: str = "") -> set[str]:
    """Dotted names that a module may import, inside functions and under TYPE_CHECKING, too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                parent = name.split(".")[: -node.level]
                origin = ".".join([*parent, *filter(None, [origin])])
            found |= {origin, *(f"{origin}.{alias.name}" for alias in node.names)}
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).split(".")[-1] in {"import_module", "__import__"}
            and isinstance(node.args[0], ast.Constant)
        ):
            found.add(node.args[0].value)
    return found


IMPORTS = {module(path): imports(path.read_text(), module(path)) for path in SOURCES}


def roots(name: str) -> set[str]:
    return {imported.partition(".")[0] for imported in IMPORTS[name]}


def reachable(name: str) -> set[str]:
    """The modules of ours that importing or using `name` can bring in."""
    found, waiting = set(), [name]
    while waiting:
        current = waiting.pop()
        if current in IMPORTS and current not in found:
            found.add(current)
            waiting += [*IMPORTS[current], current.rpartition(".")[0]]
    return found


def of(package: str) -> list[str]:
    return [name for name in IMPORTS if name == package or name.startswith(f"{package}.")]


def test_the_reader_sees_every_kind_of_import():
    source = """
import a.b, c as d
from e.f import g
def late():
    from h import i
    from . import j
    from ..k import l
    import_module("m.n")
if TYPE_CHECKING:
    import o
"""
    found = imports(source, "x.y.z")
    assert found >= {"a.b", "c", "e.f", "e.f.g", "h.i", "x.y.j", "x.k.l", "m.n", "o"}
    assert len(IMPORTS) > 50


@pytest.mark.parametrize("name", of("tvae"))
def test_the_library_knows_nothing_above_it(name):
    assert not roots(name) & {"reports", "bench", *HARNESS}


@pytest.mark.parametrize("name", of("reports"))
def test_reports_know_rows_and_nothing_of_how_they_were_made(name):
    assert not roots(name) & {"tvae", "bench", "torch", *DRIVER_ONLY}


@pytest.mark.parametrize("name", [*of("bench.execute"), "bench.plan.trials", "bench.store"])
def test_workers_know_neither_mlflow_nor_optuna(name):
    """Not by way of any other module of ours, either."""
    known = {other: roots(other) & DRIVER_ONLY for other in reachable(name)}
    assert not any(known.values()), {other: found for other, found in known.items() if found}


@pytest.mark.parametrize(
    ("name", "above"),
    [
        (
            "tvae.registry",
            ("models", "trainer", "checkpoint", "evaluation", "pictures", "networks",
             "likelihoods"),
        ),
        (
            "tvae.shapes",
            ("models", "trainer", "checkpoint", "evaluation", "pictures", "data", "registry",
             "networks", "likelihoods", "latent_transforms", "divergences", "families", "testing"),
        ),
        (
            "tvae.networks",
            ("models", "trainer", "checkpoint", "evaluation", "pictures", "data", "likelihoods",
             "latent_transforms", "divergences", "families", "testing"),
        ),
        (
            "tvae.likelihoods",
            ("models", "trainer", "checkpoint", "evaluation", "pictures", "data", "networks",
             "latent_transforms", "divergences", "families", "testing"),
        ),
        (
            "tvae.latent_transforms",
            ("models", "trainer", "checkpoint", "evaluation", "pictures", "networks",
             "likelihoods"),
        ),
        (
            "tvae.divergences",
            ("models", "trainer", "checkpoint", "evaluation", "pictures", "networks",
             "likelihoods"),
        ),
        (
            "tvae.families",
            ("models", "trainer", "checkpoint", "evaluation", "pictures", "networks",
             "likelihoods"),
        ),
        ("tvae.models", ("trainer", "checkpoint", "evaluation", "pictures", "data")),
        ("tvae.trainer", ("checkpoint", "evaluation", "pictures", "data")),
        ("tvae.evaluation", ("trainer", "checkpoint", "pictures")),
        (
            "tvae.data",
            ("models", "trainer", "checkpoint", "evaluation", "pictures", "networks",
             "likelihoods"),
        ),
    ],
)  # fmt: skip
def test_inside_the_library_it_is_plugins_then_models_then_trainer(name, above):
    assert of(name)
    forbidden = tuple(f"tvae.{other}" for other in above)
    for inside in of(name):
        wrong = [i for i in IMPORTS[inside] if i.startswith(forbidden)]
        assert not wrong, f"{inside} imports {wrong}"


READ = ("manifest", "rows", "study", "npz", "files")
REPORT_DOORS = ("build", "compare", "triples")
ABOVE_IN_REPORTS = {
    # a room of the report, or what it draws and writes with -> what it may not know
    **dict.fromkeys(
        READ,
        (
            "statistics",
            "words",
            "cells",
            "pen",
            "panels",
            "report",
            "sections",
            "page",
            *REPORT_DOORS,
        ),
    ),
    "statistics": ("cells", "pen", "panels", "report", "sections", "page", *REPORT_DOORS),
    **dict.fromkeys(
        ("words", "cells", "pen", "panels"), ("report", "sections", "page", *REPORT_DOORS)
    ),
    "report": ("sections", "page", *REPORT_DOORS),
    "sections": ("page", *REPORT_DOORS),
    "page": (
        *READ,
        "statistics",
        "words",
        "cells",
        "pen",
        "panels",
        "report",
        "sections",
        *REPORT_DOORS,
    ),
    "compare": ("build", "triples"),  # and build opens compare: there is no circle
    "triples": ("build", "compare"),
}


@pytest.mark.parametrize("room", ABOVE_IN_REPORTS)
def test_inside_the_report_it_is_read_then_statistics_then_sections_then_the_page(room):
    assert of(f"reports.{room}")
    forbidden = {f"reports.{other}" for other in ABOVE_IN_REPORTS[room]}
    for inside in of(f"reports.{room}"):
        wrong = {i for i in IMPORTS[inside] if ".".join(i.split(".")[:2]) in forbidden}
        assert not wrong, f"{inside} imports {wrong}"


def test_every_module_of_the_report_has_its_place():
    there = {name.split(".")[1] for name in of("reports") if "." in name}
    assert there == {*ABOVE_IN_REPORTS, "build"}


DOORS = ("run", "status", "data", "plugins", "triple")
ABOVE = {
    # a room of the harness -> what stands above it; doors stand above all
    "study": ("plan", "execute", "watch", "collect", "driver", "answer"),
    "plan": ("execute", "watch", "collect", "driver", "answer"),
    "execute": ("watch", "collect", "driver", "answer"),
    "watch": ("driver", "answer"),
    "plug": ("plan", "execute", "watch", "collect", "driver", "answer"),
    "arguments": ("plan", "execute", "watch", "plug", "collect", "driver", "answer"),
    "store": ("study", "plan", "execute", "watch", "collect", "driver", "answer"),
    "collect": ("execute", "watch", "driver", "answer"),
    "answer": ("driver",),
    "driver": (),
    "console": (
        "study", "plan", "execute", "watch", "plug", "arguments", "store", "collect", "driver",
        "answer",
    ),
}  # fmt: skip


@pytest.mark.parametrize("room", ABOVE)
def test_inside_the_harness_it_is_study_plan_execute_driver_doors(room):
    """Imports inside functions count, too."""
    assert of(f"bench.{room}")
    forbidden = {f"bench.{other}" for other in (*ABOVE[room], *DOORS)}
    for inside in of(f"bench.{room}"):
        rooms = {".".join(imported.split(".")[:2]) for imported in IMPORTS[inside]}
        assert not rooms & forbidden, f"{inside} imports {rooms & forbidden}"


def test_every_module_of_the_harness_has_its_place():
    there = {name.split(".")[1] for name in of("bench") if "." in name}
    assert there == {*ABOVE, *DOORS}


# --- names --------------------------------------------------------------------------------------

KINDS = (
    registry.latent_transforms,
    registry.divergences,
    registry.families,
    registry.networks,
    registry.likelihoods,
    registry.models,
)
PLUGINS = {name for plugins in KINDS for name in plugins.names()}
METRICS = set(registry.metrics.names())
DATASETS = set(data.names())

WORDS = {
    # a file -> the words in it that happen to be a plugin's name, and what they are there
    "*": {
        "none",
        "coherence",
    },  # no direction, no inverse, no checkpoint kept; an option of a model
    # Appendix B's network and likelihood are what a model has that nobody told another; and the
    # term beta KL[q_phi(z_0|x), pi] of Eq. 3
    "tvae/models/base.py": {"paper", "bernoulli"},
    "tvae/models/autoencoder.py": {"paper", "bernoulli"},
    "tvae/models/tvae.py": {"paper", "bernoulli", "kl"},
    "bench/data.py": {"pixels"},  # a column
    "bench/plan/keys.py": {"tvae"},  # the library
    "bench/triple.py": {"tvae"},  # the one model that has all three of them
    "bench/study/schema.py": {"crop"},  # what becomes of one's own images of another size
    "bench/study/paths.py": {"transfer"},  # the key data.transfer
    "bench/plan/trials.py": {"transfer", "likelihood"},  # the key data.transfer; a model's option
    "bench/plug/kinds.py": {"likelihood"},  # a kind of plugins, and a metric
    "bench/plug/check.py": {"likelihood"},
    "bench/plug/describe.py": {"likelihood"},
    "bench/execute/trial.py": {"kl", "reconstruction"},  # two parts of the validation ELBO
    "bench/collect.py": {"cost"},  # the number of parameters, which the report shows of every arm
}


def literals(source: str) -> Iterator[tuple[int, str]]:
    """(line, word) of every string that is not a docstring, and of paths the part before `/`."""
    tree = ast.parse(source)
    docstrings = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node not in docstrings
        ):
            yield node.lineno, node.value.partition("/")[0]


def named(path: Path, names: set[str]) -> list[str]:
    where = path.relative_to(ROOT).as_posix()
    allowed = WORDS["*"] | WORDS.get(where, set())
    return [
        f"{where}:{line}: {word}"
        for line, word in literals(path.read_text())
        if word in names - allowed
    ]


BLIND = [
    path
    for path in SOURCES
    if path.is_relative_to(ROOT / "bench")
    or path.is_relative_to(ROOT / "tvae/models")
    or path in {ROOT / "tvae" / f"{name}.py" for name in ("trainer", "pictures", "checkpoint")}
]


@pytest.mark.parametrize("path", BLIND, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_plugin_is_known_by_name(path):
    assert named(path, PLUGINS | DATASETS) == []


@pytest.mark.parametrize(
    "path",
    [p for p in SOURCES if p.is_relative_to(ROOT / "bench")],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_no_metric_is_known_to_the_harness_by_name(path):
    assert named(path, METRICS) == []


@pytest.mark.parametrize(
    "path",
    [p for p in SOURCES if p.is_relative_to(ROOT / "reports")],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_no_latent_transform_or_divergence_is_known_to_the_report(path):
    assert named(path, PLUGINS) == []


def test_the_reader_of_names_sees_them():
    source = '"""additive"""\nif form == "matrix" or x in {"knn/affnist": 1}: pass'
    assert [word for _, word in literals(source)] == ["matrix", "knn"]
    for where, words in WORDS.items():
        if where != "*":
            found = {word for _, word in literals((ROOT / where).read_text())}
            assert words <= found, f"{where} no longer needs its exception"


# --- pickles ------------------------------------------------------------------------------------


def unpickles(source: str) -> list[str]:
    """Calls that could run what is in a file."""
    wrong = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        call = ast.unparse(node.func)
        keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
        numpy_load = re.fullmatch(r"(np|numpy)\.load", call)
        if (
            re.fullmatch(r"(torch|jit)\.(load|save)|torch\.jit\.(load|save)", call)
            or call.endswith((".read_pickle", ".to_pickle"))
            or call in {"eval", "exec", "yaml.load", "yaml.unsafe_load"}
            or (numpy_load and keywords.get("allow_pickle") != "False")
            or keywords.get("allow_pickle", "False") != "False"
        ):
            wrong.append(ast.unparse(node))
    return wrong


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_pickle_is_read_or_written(path):
    assert not roots(module(path)) & PICKLES
    assert unpickles(path.read_text()) == []


def test_the_reader_of_calls_sees_them():
    bad = ["torch.load(f)", "np.load(f)", "np.load(f, allow_pickle=True)", "pd.read_pickle(f)",
           "numpy.load(f, allow_pickle=flag)", "eval(s)"]  # fmt: skip
    for call in bad:
        assert unpickles(f"def f():\n    return {call}") == [call]
    for call in ("np.load(f, allow_pickle=False)", "safetensors.torch.load(c)", "model.eval()"):
        assert unpickles(call) == []
