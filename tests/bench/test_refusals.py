"""What is refused before any computing, once the study itself is right; and the help."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys

from harness import REPOSITORY

from bench.run import main


def test_runs_that_is_a_file(tmp_path, capsys):
    (tmp_path / "taken").touch()
    assert main(["study=smoke", f"runs={tmp_path / 'taken'}"]) == 2
    assert capsys.readouterr().err == (
        f"error: runs: {tmp_path / 'taken' / 'smoke'} cannot be written: Not a directory\n"
    )


def test_missing_data(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    study = ["study=smoke", "budget=standard", "data.train=mnist", "data.transfer=[affnist]"]
    assert main(study) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["data (mnist)", "data (affnist)"]
    assert str(tmp_path) in lines[0]
    assert "data.root=FOLDER" in lines[0]
    assert main([*study, f"data.root={tmp_path / 'nowhere'}"]) == 2
    assert "nowhere is no folder" in capsys.readouterr().err


def test_corrupt_data(tmp_path, capsys):
    """An IDX file that ends too early."""
    for part in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            content = gzip.compress(bytes(1000))
            (tmp_path / f"{part}-{kind}-ubyte.gz").write_bytes(content[: len(content) // 2])
    assert (
        main(["study=smoke", "budget=standard", "data.train=mnist", f"data.root={tmp_path}"]) == 2
    )
    err = capsys.readouterr().err
    assert "error: data (mnist): " in err
    assert "is damaged" in err
    assert "Traceback" not in err


def test_a_device_that_is_not_there(capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(["study=smoke", "device=cuda"]) == 2
    assert capsys.readouterr().err == ("error: device: cuda is not available here (there is cpu)\n")


def test_help_lists_all_that_can_be_named_and_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from bench.run import main\n"
        "status = main(['--help'])\n"
        "heavy = {'torch', 'pandas', 'scipy', 'sklearn', 'mlflow', 'optuna', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "sys.exit(status)"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert shown.returncode == 0, shown.stderr
    for name in ("smoke", "quick", "matrix_z", "mmd_joint", "rotation_crop", "tvae", "knn"):
        assert name in shown.stdout
    kinds = {line.split("  ")[0]: line for line in shown.stdout.splitlines()}
    assert "conv, mlp, paper, resnet" in kinds["networks"]
    assert "bernoulli, discretised_logistic, gaussian" in kinds["likelihoods"]


def test_no_arguments_show_the_help_with_status_2(capsys):
    assert main([]) == 2
    assert "usage: python -m bench.run" in capsys.readouterr().out
