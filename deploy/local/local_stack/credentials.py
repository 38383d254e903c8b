"""Passwords of NATS and MongoDB users, made at the first start and kept in the data folder."""

from __future__ import annotations

import secrets
import string
from pathlib import Path

import msgspec
from imagesystem.permissions import USERS

from local_stack.clusters import USER as CLUSTER
from local_stack.errors import StackError
from local_stack.files import replace
from local_stack.nats_config import SUBSCRIBER

__all__ = ["MONGODB_USERS", "Credentials", "load_or_create", "new_password"]

#: `admin` makes users; `metadata` reads and writes the one database.
MONGODB_USERS = ("admin", "metadata")
_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 32


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """Password by user name, for each of the two servers."""

    nats: dict[str, str]
    mongodb: dict[str, str]


def new_password() -> str:
    """Return 190 random bits that NATS reads as a word.

    The configuration takes them from the environment, where it would read `1e9…` as a number:
    a letter comes first, and nothing but letters and digits follows.
    """
    first = secrets.choice(string.ascii_letters)
    return first + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH - 1))


def load_or_create(path: Path) -> Credentials:
    """Return the credentials in `path`; users that are new get passwords and are added.

    The file is readable by its owner alone. Raises `StackError` when it is damaged.
    """
    try:
        known = msgspec.json.decode(path.read_bytes(), type=Credentials)
    except FileNotFoundError:
        known = Credentials(nats={}, mongodb={})
    except msgspec.MsgspecError as error:
        raise StackError(
            f"{path} is damaged ({error}): restore it, or start over with another --data-dir"
        ) from error
    complete = Credentials(
        nats={
            user: known.nats.get(user) or new_password() for user in (*USERS, SUBSCRIBER, CLUSTER)
        },
        mongodb={user: known.mongodb.get(user) or new_password() for user in MONGODB_USERS},
    )
    if complete != known:
        replace(path, msgspec.json.format(msgspec.json.encode(complete)) + b"\n")
    return complete
