"""Scoring on a Ray cluster of two machines: the bytes of the local engine, whatever dies."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import fsspec
import pytest

import sentilora
from sentilora.errors import ConfigError, UserError
from sentilora.scoring import score
from sentilora.scoring.cluster import RayEngine, _Failure, _Result
from sentilora.scoring.rows import RowScorer

ROWS = 400
CHUNKS = {"chunk_rows": 5}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that computes nothing, and one machine with a core; a test may add others."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    small = {"object_store_memory": 80 << 20}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(Path(sentilora.__file__).parents[1]))
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
        cluster.add_node(num_cpus=1, **small)
        ray.init(address=cluster.address, log_to_driver=False)
        yield cluster
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture
def second(cluster: Any) -> Iterator[Any]:
    """Another machine with a core."""
    node = cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
    cluster.wait_for_nodes()
    yield node
    if node in cluster.list_all_nodes():
        cluster.remove_node(node)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Distinct texts, but for every fiftieth, which is none."""
    words = ("warm", "dull", "funny", "slow", "clever", "cold", "loud")
    path = tmp_path / "many.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        for row in range(ROWS):
            writer.writerow([f"{row:05d}", f"A {words[row % 7]} film, scene {row}" if row % 50 else " "])
    return path


def same(tmp_path: Path, ending: str) -> bool:
    return all(
        Path(f"{tmp_path}/ray.{ending}{suffix}").read_bytes() == Path(f"{tmp_path}/local.{ending}{suffix}").read_bytes()
        for suffix in ("", ".rejects.jsonl")
    )


def when_begun(growing: Path, do: Callable[[], Any]) -> threading.Thread:
    """Do something once a few chunks are done."""

    def wait() -> None:
        while len(list(growing.glob("0*.json"))) < 5:
            time.sleep(0.01)
        do()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def actors() -> list[int]:
    """Process ids of the pool's actors."""
    lines = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [int(line.split()[0]) for line in lines if "ray::" in line and "MapWorker" in line]


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["csv.gz", "parquet"])
def test_the_output_is_that_of_the_local_engine(
    cluster: Any, second: Any, table: Path, bundle: Path, tmp_path: Path, ending: str
) -> None:
    (tmp_path / "more.jsonl").write_text('{"text":"fine","extra":1.10}\n{"text":\n{"text":"poor"}\n', "utf-8")
    inputs = [table, tmp_path / "more.jsonl"]
    local = score(inputs, tmp_path / f"local.{ending}", model=bundle, **CHUNKS)
    ours = score(inputs, tmp_path / f"ray.{ending}", model=bundle, engine="ray", **CHUNKS)
    assert (ours.scored, ours.rejected) == (local.scored, local.rejected) == (ROWS - 8 + 2, 9)
    assert same(tmp_path, ending)


@pytest.mark.slow
def test_an_actor_is_killed(cluster: Any, second: Any, table: Path, bundle: Path, tmp_path: Path) -> None:
    score(table, tmp_path / "local.csv", model=bundle, **CHUNKS)
    killed: list[int] = []

    def kill() -> None:
        killed.extend(actors()[:1])
        os.kill(killed[0], signal.SIGKILL)

    killing = when_begun(tmp_path / "ray.csv.unfinished", kill)
    result = score(table, tmp_path / "ray.csv", model=bundle, engine="ray", **CHUNKS)
    killing.join()
    assert killed
    assert (result.scored, result.rejected) == (ROWS - 8, 8)
    assert same(tmp_path, "csv")


@pytest.mark.slow
def test_a_machine_dies(cluster: Any, second: Any, table: Path, bundle: Path, tmp_path: Path) -> None:
    score(table, tmp_path / "local.csv", model=bundle, **CHUNKS)
    removing = when_begun(tmp_path / "ray.csv.unfinished", lambda: cluster.remove_node(second, allow_graceful=False))
    score(table, tmp_path / "ray.csv", model=bundle, engine="ray", **CHUNKS)
    removing.join()
    assert same(tmp_path, "csv")


@pytest.mark.slow
def test_the_command_is_killed_and_given_again(cluster: Any, table: Path, bundle: Path, tmp_path: Path) -> None:
    score(table, tmp_path / "local.csv", model=bundle, **CHUNKS)
    command = [sys.executable, "-m", "sentilora", "score", "many.csv", "-o", "ray.csv", "--model", str(bundle)]
    command += ["--engine", "ray", "--chunk-rows", "5"]
    environment = {**os.environ, "RAY_ADDRESS": cluster.address}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as process:
        when_begun(tmp_path / "ray.csv.unfinished", process.kill)
    assert process.returncode == -signal.SIGKILL
    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert f"{ROWS} rows in = {ROWS - 8} scored + 8 rejected" in again.stdout
    assert "of them before" in again.stdout
    (tmp_path / "local.csv.rejects.jsonl").write_bytes(
        (tmp_path / "local.csv.rejects.jsonl").read_bytes().replace(str(table).encode(), b"many.csv")
    )
    assert same(tmp_path, "csv")


def test_what_goes_wrong_after_the_last_chunk_is_told(table: Path, bundle: Path, tmp_path: Path) -> None:
    """The engine without Ray: its results are those of the local one, and then a failure."""
    local = {}

    def keep(scorer: RowScorer, file: Any, chunk: Any, real: Any = RowScorer.__call__) -> Any:
        local[len(local)] = real(scorer, file, chunk)
        return local[len(local) - 1]

    def results(engine: RayEngine, wanted: frozenset[int]) -> Iterator[Any]:
        yield from (_Result(number, local[number], ()) for number in sorted(wanted))
        yield _Failure("many.csv breaks off")

    pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RowScorer, "__call__", keep)
        score(table, tmp_path / "local.csv", model=bundle, **CHUNKS)
        patch.setattr(RayEngine, "_results", results)
        with pytest.raises(UserError, match=r"many\.csv breaks off"):
            score(table, tmp_path / "ray.csv", model=bundle, engine="ray", **CHUNKS)
    assert not (tmp_path / "ray.csv").exists()


@pytest.mark.slow
def test_what_goes_wrong_elsewhere_is_told(cluster: Any, table: Path, bundle: Path, tmp_path: Path) -> None:
    with fsspec.open("memory://ray/in.csv", "wb") as file:  # a store that other processes do not share
        file.write(table.read_bytes())
    with pytest.raises(UserError, match=r"in\.csv cannot be reached"):
        score("memory://ray/in.csv", tmp_path / "out.csv", model=bundle, engine="ray")
    assert not list(tmp_path.glob("out*"))


def test_what_ray_cannot_do_is_refused(table: Path, bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with pytest.raises(ConfigError, match="standard input"):
        score("-", tmp_path / "out.csv", model=bundle, engine="ray", format="csv")
    with pytest.raises(ConfigError, match="leave --device cuda out"):
        score(table, tmp_path / "out.csv", model=bundle, engine="ray", device="cuda")
    with pytest.raises(ConfigError, match="no engine 'spark': local or ray"):
        score(table, tmp_path / "out.csv", model=bundle, engine="spark")
    code = "import sys; sys.modules['ray'] = None; from sentilora.cli import main; main()"
    command = [
        sys.executable,
        "-c",
        code,
        "score",
        "many.csv",
        "-o",
        "x.csv",
        "--model",
        str(bundle),
        "--engine",
        "ray",
    ]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "pip install 'sentilora[ray]'" in refused.stderr
