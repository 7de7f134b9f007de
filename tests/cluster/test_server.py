"""Two studies at once tell one MLflow server and one ledger, both on PostgreSQL, which go away.

Nothing may be lost, told twice or held up, whatever is stopped and started in between. What arrived
is read back as plain HTTP and SQL, without the clients that wrote it, and compared with rows and
files. It takes minutes and starts servers, so it is no part of the tests: ``tox -e cluster``.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode

import pytest
from harness import PLUGIN, REPOSITORY, Ran, bench, start, until, write

from reports import rows as schema

PASSWORD = "s3cret/p@ss"
QUOTED = "s3cret%2Fp%40ss"
PARENT = "mlflow.parentRunId"
ROOT = os.getuid() == 0


def programs() -> Path | None:
    """The folder of PostgreSQL's programs, which Debian keeps out of the path."""
    found = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return Path(found).parent if found else debian[-1].parent if debian else None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        return chosen.getsockname()[1]


@dataclass
class Postgres:
    """A PostgreSQL server of our own; it refuses to run as root."""

    folder: Path
    port: int

    def command(self, name: str, *arguments: str) -> None:
        user = ["runuser", "-u", "postgres", "--"] if ROOT else []
        subprocess.run(
            [*user, str(programs() / name), *arguments],
            cwd=self.folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        log = f"{self.folder}/log"
        self.command("pg_ctl", "-D", f"{self.folder}/data", "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        self.command("pg_ctl", "-D", f"{self.folder}/data", "-w", "-m", "fast", "stop")

    def sql(self, query: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        import psycopg2

        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user="bench", password=PASSWORD, dbname=database
        )
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(query)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def uri(self, database: str, driver: str = "postgresql") -> str:
        return f"{driver}://bench:{QUOTED}@127.0.0.1:{self.port}/{database}"

    def fresh(self, database: str) -> str:
        """The address of an empty database."""
        self.sql(f"CREATE DATABASE {database}")
        return self.uri(database)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    if programs() is None:
        pytest.skip("no PostgreSQL here: initdb is neither in the path nor in /usr/lib/postgresql")
    pytest.importorskip("psycopg2", reason="needs the extra 'server'")
    # not in pytest's folder, which PostgreSQL's user may not enter
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    (folder / "password").write_text(PASSWORD)
    if ROOT:
        for path in (folder, folder / "password"):
            shutil.chown(path, "postgres")
    server = Postgres(folder, free_port())
    access = ("-A", "scram-sha-256", "-U", "bench", f"--pwfile={folder}/password")
    server.command("initdb", "-D", f"{folder}/data", *access, "--no-sync")
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@contextmanager
def serving(*command: str, port: int, log: Path) -> Iterator[str]:
    """Within: a web server answers; its address."""
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return urllib.request.urlopen(address, timeout=5).status == 200
        except (URLError, TimeoutError, ConnectionError):
            return False

    with log.open("a") as file:
        process = subprocess.Popen(
            command, cwd=log.parent, env={**os.environ, **quiet}, stdout=file, stderr=file
        )
    try:
        until(answers, 120, address)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


@dataclass
class Mlflow:
    """MLflow's server as people read it: over REST."""

    address: str

    def get(self, path: str, **query: str) -> Any:
        asked = f"{self.address}/api/2.0/mlflow/{path}?{urlencode(query)}"
        return json.load(urllib.request.urlopen(asked, timeout=30))

    def runs(self, study: str) -> list[dict[str, Any]]:
        number = self.get("experiments/get-by-name", experiment_name=study)
        asked = {"experiment_ids": [number["experiment"]["experiment_id"]], "max_results": 1000}
        request = urllib.request.Request(
            f"{self.address}/api/2.0/mlflow/runs/search",
            json.dumps(asked).encode(),
            {"Content-Type": "application/json"},
        )
        return json.load(urllib.request.urlopen(request, timeout=30)).get("runs", [])

    def ended(self, study: str) -> list[dict[str, Any]]:
        """The trials that were told to their end."""
        try:
            found = self.runs(study)
        except URLError:
            return []
        return [r for r in found if r["info"]["status"] == "FINISHED" and PARENT in tags(r)]

    def artifact(self, run: dict[str, Any], name: str) -> bytes:
        _, where = run["info"]["artifact_uri"].split("mlflow-artifacts:/")
        path = f"{self.address}/api/2.0/mlflow-artifacts/artifacts/{where.strip('/')}/{name}"
        return urllib.request.urlopen(path, timeout=30).read()


def tags(run: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["data"]["tags"]}


def status(folder: Path, *arguments: str) -> str:
    """What ``python -m bench.status`` says."""
    ran = subprocess.run(
        [sys.executable, "-m", "bench.status", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{PLUGIN}{os.pathsep}{REPOSITORY}"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def told(postgres, tmp_path_factory) -> Iterator[SimpleNamespace]:
    """Two studies that ran at once, while the server was stopped and started again.

    One ended before it was back, and was told later; the other found it again by itself.
    """
    folder = tmp_path_factory.mktemp("server")
    postgres.fresh("mlflow")
    ledger = postgres.fresh("ledger")
    port = free_port()
    server = (
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1", "--backend-store-uri", postgres.uri("mlflow", "postgresql+psycopg2"),
        "--artifacts-destination", str(folder / "artifacts"), "--serve-artifacts",
    )  # fmt: skip
    log = folder / "mlflow.log"
    folders, drivers, arguments = {}, {}, {}
    for name in ("sooner", "later"):
        folders[name] = folder / name
        folders[name].mkdir()
        write(folders[name])
        (folders[name] / "gate").touch()
        arguments[name] = (
            "study=tiny.yaml", "workers=1", f"name={name}", f"ledger.uri={ledger}",
            f"tracking.uri=http://me:{QUOTED}@127.0.0.1:{port}",
        )  # fmt: skip

    def waiting(name: str) -> None:
        until((folders[name] / "waiting").exists, 180, f"a trial of {name}")

    out = {}
    try:
        with serving(*server, port=port, log=log) as address:
            mlflow = Mlflow(address)
            for name in folders:
                drivers[name] = start(folders[name], *arguments[name])
            for name in folders:
                waiting(name)
                until(lambda name=name: len(mlflow.ended(name)) == 1, 60, f"{name} in MLflow")
        # it is away; the second trial of both waits
        postgres.stop()
        postgres.start()
        (folders["sooner"] / "gate").unlink()
        (folders["later"] / "gate").unlink()
        time.sleep(0.5)
        (folders["later"] / "gate").touch()
        (folders["later"] / "waiting").unlink()
        out["sooner"] = drivers["sooner"].communicate(timeout=180)
        waiting("later")
        with serving(*server, port=port, log=log):
            (folders["later"] / "gate").unlink()
            out["later"] = drivers["later"].communicate(timeout=180)
            synced = {n: status(folders[n], *arguments[n], "sync=true") for n in folders}
            again = {n: status(folders[n], *arguments[n], "sync=true") for n in folders}
            yield SimpleNamespace(
                folder=folder, folders=folders, out=out, mlflow=mlflow, ledger=ledger,
                codes={name: driver.returncode for name, driver in drivers.items()},
                synced=synced, again=again,
            )  # fmt: skip
    finally:
        for driver in drivers.values():
            if driver.poll() is None:
                driver.kill()


STUDIES = pytest.mark.parametrize("name", ["sooner", "later"])


def store(told: SimpleNamespace, name: str) -> Path:
    return told.folders[name] / "runs" / name


def test_the_studies_end_and_say_once_what_mlflow_lacks(told):
    assert told.codes == {"sooner": 0, "later": 0}, told.out
    out = {name: told.out[name][0].splitlines() for name in told.out}
    assert len([line for line in out["sooner"] if "MLflow was not told" in line]) == 1
    assert not [line for line in out["later"] if "MLflow" in line], "it was back in time"
    assert told.synced["sooner"].splitlines() == [
        "Optuna has all trials", "MLflow was told 3 of 4 trials",
    ]  # fmt: skip
    everything = ["Optuna has all trials", "MLflow has all 4 trials"]
    assert told.synced["later"].splitlines() == everything
    assert [told.again[name].splitlines() for name in told.again] == [everything] * 2


@STUDIES
def test_every_trial_is_in_mlflow_once_with_its_rows_curves_and_files(told, name):
    frame = schema.load(store(told, name))
    children = told.mlflow.ended(name)
    seen = Counter((tags(run)["arm"], tags(run)["seed"]) for run in children)
    assert seen == Counter({(arm, seed): 1 for arm in ("vae", "additive") for seed in "01"})
    for run in children:
        mine = frame[(frame.arm == tags(run)["arm"]) & (frame.seed == int(tags(run)["seed"]))]
        expected = {
            row.metric.replace("=", "_"): row.value
            for row in mine.itertuples()
            if not math.isnan(row.value)
        }
        number = run["info"]["run_id"]
        latest = {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}
        assert {key: latest[key] for key in expected} == expected

        folder = store(told, name) / "trials" / tags(run)["trial"]
        curve = [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()]
        assert len(curve) == 4
        for key in curve[0].keys() - {"step"}:
            found = told.mlflow.get("metrics/get-history", run_id=number, metric_key=key)
            assert [(m.get("step", 0), m["value"]) for m in found["metrics"]] == [
                (record["step"], record[key]) for record in curve
            ]
        files = told.mlflow.get("artifacts/list", run_id=number)["files"]
        assert {file["path"] for file in files} == {"trial.json", "pictures.npz"}
        for file in files:
            assert told.mlflow.artifact(run, file["path"]) == (folder / file["path"]).read_bytes()


@STUDIES
def test_the_execution_has_its_documents(told, name):
    parents = [run for run in told.mlflow.runs(name) if PARENT not in tags(run)]
    ends = Counter(run["info"]["status"] for run in parents)
    assert ends == ({"FINISHED": 1} if name == "later" else {"FINISHED": 1, "KILLED": 1})
    (whole,) = [run for run in parents if run["info"]["status"] == "FINISHED"]
    for document in ("report.html", "manifest.json", "study.yaml"):
        assert told.mlflow.artifact(whole, document) == (store(told, name) / document).read_bytes()
    values = {metric["key"] for metric in whole["data"]["metrics"]}
    assert {"primary/difference", "primary/n"} <= values


@STUDIES
def test_the_ledger_has_the_rows(told, name, postgres):
    frame = schema.load(store(told, name))
    expected = sorted((r.trial, r.value) for r in frame[frame.metric == "nll"].itertuples())
    found = postgres.sql(
        "SELECT a.value_json, v.value FROM studies s JOIN trials t USING (study_id)"
        " JOIN trial_values v USING (trial_id) JOIN trial_user_attributes a USING (trial_id)"
        f" WHERE s.study_name LIKE '{name}/%/confirm/%' AND a.key = 'trial'"
        " AND t.state = 'COMPLETE'",
        "ledger",
    )
    assert sorted((json.loads(trial), value) for trial, value in found) == expected


def test_the_dashboard_shows_the_studies(told, tmp_path):
    pytest.importorskip("optuna_dashboard", reason="needs optuna-dashboard")
    port = free_port()
    address = told.ledger.replace("postgresql:", "postgresql+psycopg2:")
    entry = "from optuna_dashboard._cli import main; main()"
    command = (sys.executable, "-c", entry, address, "--port", str(port))
    with serving(*command, port=port, log=tmp_path / "log") as page:
        studies = json.load(urllib.request.urlopen(f"{page}/api/studies"))["study_summaries"]
        shown = {}
        for one in studies:
            with urllib.request.urlopen(f"{page}/api/studies/{one['study_id']}") as answer:
                shown[one["study_name"].split("/")[0]] = len(json.load(answer)["trials"])
    frames = {name: schema.load(store(told, name)) for name in told.folders}
    assert shown == {name: frame.trial.nunique() for name, frame in frames.items()}


def test_no_password_is_written_down(told):
    """Neither as it is nor as it stands in an address."""
    said = "".join(text for pair in told.out.values() for text in pair)
    said += "".join([*told.synced.values(), *told.again.values()])
    said += json.dumps([told.mlflow.runs(name) for name in told.folders])
    assert "***@127.0.0.1" in said, "the commands are there"
    for name in told.folders:
        for path in told.folders[name].rglob("*"):
            if path.is_file():
                said += path.read_bytes().decode(errors="ignore")
    assert "s3cret" not in said


# --- the ledger alone -----------------------------------------------------------------------------


def _open(uri: str, folder: Path, both: Any, failed: Any) -> None:
    from bench.watch.optuna_file import OptunaFile

    both.wait()
    try:
        _ = OptunaFile(folder / "optuna.db", None, uri)._storage
    except Exception as error:
        failed.put(repr(error))


def test_drivers_may_set_up_a_fresh_ledger_at_once(postgres, tmp_path):
    """Optuna's own way failed in 4 of 6 attempts."""
    context = multiprocessing.get_context("spawn")
    for number in range(2):
        uri, both, failed = postgres.fresh(f"race{number}"), context.Barrier(3), context.Queue()
        processes = [
            context.Process(target=_open, args=(uri, tmp_path, both, failed)) for _ in range(3)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert failed.empty(), failed.get()


def test_a_ledger_that_is_away_costs_the_study_nothing_and_is_told_later(postgres, tmp_path):
    uri = postgres.fresh("away")
    write(tmp_path, seeds=1)
    arguments = ("study=tiny.yaml", "tracking.enabled=false", f"ledger.uri={uri}")
    count = "SELECT count(*) FROM trials"
    postgres.stop()
    try:
        ran: Ran = bench(tmp_path, *arguments)
    finally:
        postgres.start()
    assert ran.status == 0
    (line,) = [line for line in ran.out.splitlines() if "Optuna" in line]
    assert line.startswith("Optuna was not told of this run: OperationalError")
    assert "s3cret" not in ran.out + ran.err
    again = bench(tmp_path, *arguments)
    assert "Optuna" not in again.out
    assert postgres.sql(count, "away") == [(2,)]
    other = f"ledger.uri={postgres.fresh('other')}"
    for _ in range(2):
        assert status(tmp_path, *arguments[:2], other, "sync=true") == "Optuna has all trials\n"
        assert postgres.sql(count, "other") == [(2,)]
