from __future__ import annotations

import stat
from pathlib import Path

import pytest
from imagesystem.topology import SERVICES
from local_stack import StackError, credentials


def test_they_are_made_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    first = credentials.load_or_create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert credentials.load_or_create(path) == first
    assert set(first.nats) == {*SERVICES, "administrator", "cluster", "operator", "subscriber"}
    assert set(first.mongodb) == {"admin", "metadata"}


def test_no_two_are_alike_and_nats_reads_each_as_a_word(tmp_path: Path) -> None:
    made = credentials.load_or_create(tmp_path / "credentials.json")
    passwords = [*made.nats.values(), *made.mongodb.values()]
    assert len(set(passwords)) == len(passwords)
    for password in passwords:
        assert password[0].isalpha()
        assert password.isalnum()
        assert password.isascii()


def test_a_user_that_is_new_gets_a_password_and_the_others_keep_theirs(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    path.write_text('{"nats": {"registry": "kept"}, "mongodb": {"admin": "kept too"}}')
    made = credentials.load_or_create(path)
    assert made.nats["registry"] == "kept"
    assert made.mongodb["admin"] == "kept too"
    assert made.nats["subscriber"]


def test_a_damaged_file_is_left_alone_and_named(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    path.write_text('{"nats": ')
    with pytest.raises(StackError, match=r"credentials\.json is damaged"):
        credentials.load_or_create(path)
    assert path.read_text() == '{"nats": '
