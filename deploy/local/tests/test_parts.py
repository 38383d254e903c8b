from __future__ import annotations

from pathlib import Path

import pytest
from imagesystem.topology import SERVICES
from local_stack import credentials
from local_stack.parts import Part, Plan, part_names, service_command, table

ONE = dict.fromkeys(SERVICES, 1)


def plan(folder: Path, scale: dict[str, int], mongodb_url: str | None = None) -> Plan:
    replicas = ONE | scale
    names = part_names(replicas, with_mongodb=mongodb_url is None)
    monitors = [f"{name}-monitor" for name in names if name.startswith("nats")]
    return Plan(
        data_dir=folder,
        environ={"MAX_PIXELS": "7"},
        credentials=credentials.load_or_create(folder / "credentials.json"),
        ports={name: 20_000 + n for n, name in enumerate((*names, *monitors))},
        replicas=replicas,
        programs={name: Path("/bin") / name for name in ("nats-server", "mongod", "traefik")},
        versions={"nats-server": "2", "mongod": "6", "traefik": "3"},
        mongodb_url=mongodb_url,
        nats_sync="120s",
        nats_max_file_store=10**9,
        command_of=service_command,
    )


def parts(folder: Path, scale: dict[str, int], mongodb_url: str | None = None) -> dict[str, Part]:
    made = table(plan(folder, scale, mongodb_url))
    names = part_names(ONE | scale, with_mongodb=mongodb_url is None)
    assert tuple(part.name for part in made) == names
    return {part.name: part for part in made}


def test_every_service_has_its_own_user_and_the_settings_of_the_environment(tmp_path: Path) -> None:
    made = parts(tmp_path, {})
    for service in SERVICES:
        environ = made[service].environ
        assert environ["NATS_URL"].startswith(f"nats://{service}:")
        assert environ["MAX_PIXELS"] == "7"
        assert not any("PASSWORD" in name for name in environ)
        assert ("MONGODB_URL" in environ) == (service == "metadata")


def test_replicas_have_ports_of_their_own_and_traefik_knows_all(tmp_path: Path) -> None:
    made = parts(tmp_path, {"inference": 3})
    replicas = [made[f"inference-{n}"] for n in (1, 2, 3)]
    urls = ",".join(f"http://127.0.0.1:{part.port}" for part in replicas)
    assert made["traefik"].environ["INFERENCE_URLS"] == urls
    assert len({part.port for part in replicas}) == 3


def test_servers_come_first_and_the_door_last(tmp_path: Path) -> None:
    made = parts(tmp_path, {})
    assert made["nats"].depends_on == ()
    assert set(made["metadata"].depends_on) == {"nats", "mongodb"}
    assert set(made["traefik"].depends_on) == set(SERVICES)


def test_a_mongodb_of_somebody_else_is_used(tmp_path: Path) -> None:
    made = parts(tmp_path, {}, "mongodb://db.example.org")
    assert "mongodb" not in made
    assert made["metadata"].environ["MONGODB_URL"] == "mongodb://db.example.org"
    assert made["metadata"].depends_on == ("nats",)


@pytest.mark.parametrize("option", ["--auth", "--nounixsocket"])
def test_mongod_asks_for_passwords_and_opens_no_socket_file(tmp_path: Path, option: str) -> None:
    assert option in parts(tmp_path, {})["mongodb"].command


def test_all_replicas_of_inference_look_at_the_same_models(tmp_path: Path) -> None:
    made = parts(tmp_path, {"inference": 2})
    folders = {made[name].environ["MODELS_DIR"] for name in ("inference-1", "inference-2")}
    assert folders == {str(tmp_path / "models")}
    assert "MODELS_DIR" not in made["image"].environ
