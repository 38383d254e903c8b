"""Make the passwords of NATS and MongoDB users, once; run by Compose before everything else.

What `.env` sets is taken; the rest is made up at the first start and kept in the volume. Each
service can read its own credentials only. Needs nothing but Python.

`image-system subscriber --compose` keeps external subscribers here too, by
    credentials.py show FILE          print a file; nothing if there is none
    credentials.py keep FILE          replace it by standard input
"""

from __future__ import annotations

import os
import re
import secrets
import string
import sys
from pathlib import Path

FOLDER = Path("/credentials")
SERVICES = ("registry", "image", "inference", "metadata", "augmentation")
FIRST_UID = 10001
MONGO_UID = 999
# Who subscribes from outside, and what NATS is to know of it.
SUBSCRIBERS, ACCOUNTS = "subscribers.json", "accounts.conf"
SHOWN = (SUBSCRIBERS, ACCOUNTS, ".nats-administrator")
KEPT = (SUBSCRIBERS, ACCOUNTS)
# NATS reads passwords from its environment as words of its configuration.
PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9]{7,}")


def password(name: str) -> str:
    """Return the password kept as `name`, from the environment, the volume, or made now."""
    kept = FOLDER / f".{name}"
    chosen = os.environ.get(f"{name.upper().replace('-', '_')}_PASSWORD") or (
        kept.read_text() if kept.exists() else ""
    )
    if not chosen:
        alphabet = string.ascii_letters + string.digits
        chosen = secrets.choice(string.ascii_letters)
        chosen += "".join(secrets.choice(alphabet) for _ in range(31))
    if not PASSWORD.fullmatch(chosen):
        sys.exit(f"the password of {name}: a letter, then seven or more letters and digits")
    write(kept.name, chosen, 0)
    return chosen


def write(name: str, text: str, uid: int) -> None:
    """Write a file that only `uid` can read, whole or not at all."""
    draft = FOLDER / f"{name}.new"
    draft.write_text(text)
    draft.chmod(0o400)
    os.chown(draft, uid, uid)
    draft.replace(FOLDER / name)


def show(name: str) -> None:
    """Print a file of the volume."""
    file = FOLDER / name
    sys.stdout.write(file.read_text() if file.exists() else "")


def keep(name: str) -> None:
    """Write a file of the volume."""
    write(name, sys.stdin.read(), 0)


def prepare() -> None:
    """Write every file of the volume that is not there or that `.env` changes."""
    FOLDER.chmod(0o711)
    if not (FOLDER / ACCOUNTS).exists():
        write(ACCOUNTS, "", 0)
    users = (*SERVICES, "administrator", "operator", "subscriber")
    nats = {user: password(f"nats-{user}") for user in users}
    lines = [f"export NATS_{user.upper()}_PASSWORD={word}\n" for user, word in nats.items()]
    write("nats.env", "".join(lines), 0)
    scheme = os.environ.get("NATS_SCHEME") or "nats"
    for number, service in enumerate(SERVICES):
        url = f"{scheme}://{service}:{nats[service]}@nats:4222"
        write(f"{service}-nats-url", url, FIRST_UID + number)
    metadata = password("mongodb-metadata")
    write("mongodb-admin", password("mongodb-admin"), MONGO_UID)
    write("mongodb-metadata", metadata, MONGO_UID)
    write(
        "metadata-mongodb-url",
        f"mongodb://metadata:{metadata}@mongodb:27017/?authSource=admin",
        FIRST_UID + SERVICES.index("metadata"),
    )


def main() -> None:
    """Do what the arguments say."""
    match sys.argv[1:]:
        case []:
            prepare()
        case ["show", name] if name in SHOWN:
            show(name)
        case ["keep", name] if name in KEPT:
            keep(name)
        case _:
            sys.exit(f"show {'|'.join(SHOWN)}, keep {'|'.join(KEPT)}, or nothing")


main()
