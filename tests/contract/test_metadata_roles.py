"""A MongoDB user that an earlier version made: what is missing is said, and then given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from imagesystem.errors import Unavailable
from local_stack.mongodb import ensure_users, url_for
from metadata_service.mongo import open_store
from metadata_service.settings import Settings
from pymongo import AsyncMongoClient

from tests.conftest import mongo_server

pytestmark = pytest.mark.contract

PASSWORDS = {"admin": "anAdministrator", "metadata": "aMetadataUser"}


async def test_a_user_without_dbadmin_is_told_of_and_gets_the_role(tmp_path: Path):
    with mongo_server(tmp_path, "--auth") as server:
        await ensure_users(server.port, PASSWORDS)
        url = url_for(server.port, "admin", PASSWORDS["admin"])
        roles = [{"role": "readWrite", "db": "image_system"}]
        async with AsyncMongoClient[dict[str, Any]](url) as admin:
            await admin.admin.command("updateUser", "metadata", roles=roles)
        settings = Settings(mongodb_url=url_for(server.port, "metadata", PASSWORDS["metadata"]))
        async with open_store(settings) as store:
            await store.ping()
            with pytest.raises(Unavailable, match="needs readWrite and dbAdmin"):
                await store.prepare()
            await ensure_users(server.port, PASSWORDS)
            await store.prepare()
