from __future__ import annotations

import stat
from pathlib import Path

import pytest
from local_stack import StackError, cli, clusters
from local_stack.clusters import check_store, servers
from local_stack.parts import nats_url, table
from typer import BadParameter

from .test_parts import plan

THREE = ("nats-1", "nats-2", "nats-3")


def test_one_server_has_no_number() -> None:
    assert servers(1) == ("nats",)
    assert servers(3) == THREE


def test_services_know_every_server_and_keep_three_copies(tmp_path: Path) -> None:
    made = plan(tmp_path, {"nats": 3})
    parts = {part.name: part for part in table(made)}
    registry = parts["registry"]
    ports = [parts[name].port for name in THREE]
    assert [int(url.rpartition(":")[2]) for url in nats_url(made, "registry").split(",")] == ports
    assert registry.environ["NATS_URL"] == nats_url(made, "registry")
    assert registry.environ["REPLICAS"] == "3"
    assert registry.depends_on == THREE
    assert len({parts[name].command for name in THREE}) == 3


def test_a_single_server_is_told_of_no_copies(tmp_path: Path) -> None:
    parts = {part.name: part for part in table(plan(tmp_path, {}))}
    assert "REPLICAS" not in parts["registry"].environ


def test_each_server_is_told_of_the_others(tmp_path: Path) -> None:
    ports = {f"{name}-routes": 7000 + number for number, name in enumerate(THREE)}
    clusters.place(tmp_path, "base.conf", THREE, ports, "secret")
    path = tmp_path / "nats-2.conf"
    text = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert 'include "base.conf"' in text
    assert 'listen: "127.0.0.1:7001"' in text
    assert "cluster:secret@127.0.0.1:7000" in text
    assert "cluster:secret@127.0.0.1:7002" in text
    assert "secret@127.0.0.1:7001" not in text


@pytest.mark.parametrize(("there", "asked"), [(("nats",), THREE), (THREE, ("nats",))])
def test_what_others_stored_is_not_passed_over(
    there: tuple[str, ...], asked: tuple[str, ...], tmp_path: Path
) -> None:
    check_store(tmp_path, asked)
    for name in there:
        (tmp_path / name).mkdir()
    check_store(tmp_path, there)
    with pytest.raises(StackError, match=rf"--scale nats={len(there)}"):
        check_store(tmp_path, asked)


@pytest.mark.parametrize("count", ["0", "2", "4", "x", ""])
def test_a_cluster_needs_a_majority(count: str) -> None:
    with pytest.raises(BadParameter, match="nats may have 1, 3, 5"):
        cli._scale([f"nats={count}"])
    assert cli._scale(["nats=3"]) == {"nats": 3}
