"""The users of the embedded MongoDB, made at the first start."""

from __future__ import annotations

from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure

from local_stack.errors import StackError
from local_stack.ports import LOOPBACK

__all__ = ["DATABASE", "ensure_users", "url_for"]

DATABASE = "image_system"
_AUTHENTICATION_FAILED = 18
_USER_EXISTS = 51003


def url_for(port: int, user: str, password: str) -> str:
    """Return the URL with which `user` connects to the mongod on `port`."""
    return f"mongodb://{user}:{password}@{LOOPBACK}:{port}/?authSource=admin&directConnection=true"


def _client(url: str) -> AsyncMongoClient[dict[str, Any]]:
    return AsyncMongoClient(url, serverSelectionTimeoutMS=10_000, socketTimeoutMS=30_000)


async def _is_admin(port: int, password: str) -> bool:
    async with _client(url_for(port, "admin", password)) as admin:
        try:
            await admin.admin.command("ping")
        except OperationFailure as error:
            if error.code != _AUTHENTICATION_FAILED:
                raise
            return False
    return True


async def _create_admin(port: int, password: str) -> None:
    # The localhost exception: while there is no user at all, this machine may make the first.
    async with _client(f"mongodb://{LOOPBACK}:{port}/?directConnection=true") as nobody:
        try:
            await nobody.admin.command(
                "createUser", "admin", pwd=password, roles=["root"], mechanisms=["SCRAM-SHA-256"]
            )
        except OperationFailure as error:
            raise StackError(
                "the MongoDB in the data folder knows other passwords than credentials.json: "
                "restore that file, or start over with another --data-dir"
            ) from error


async def ensure_users(port: int, passwords: dict[str, str]) -> None:
    """Make the users `admin` and `metadata` of the mongod on `port` if they are not there.

    May be interrupted and repeated. Raises `StackError` when the database has users already
    and `passwords` are not theirs.
    """
    if not await _is_admin(port, passwords["admin"]):
        await _create_admin(port, passwords["admin"])
    async with _client(url_for(port, "admin", passwords["admin"])) as admin:
        account: dict[str, Any] = {
            "pwd": passwords["metadata"],
            # dbAdmin: the validator of documents is changed by `collMod`.
            "roles": [{"role": role, "db": DATABASE} for role in ("readWrite", "dbAdmin")],
            "mechanisms": ["SCRAM-SHA-256"],
        }
        try:
            await admin.admin.command("createUser", "metadata", **account)
        except OperationFailure as error:
            if error.code != _USER_EXISTS:
                raise
            await admin.admin.command("updateUser", "metadata", **account)
