"""The programs that the how-to shows sign as the image service does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from image_service.signatures import Signatures, canonical

from tests.docs.pages import ROOT, blocks

KEY, OLD = "a-key-of-the-how-to-0123456789", "the-key-before-that-0123456789"
IMAGE = "0198c0de-0000-8000-8000-000000000000"
SIGNATURES = Signatures(keys=(OLD.encode(), KEY.encode()), unsigned="none")


def run(tmp_path: Path, name: str, *command: str) -> list[str]:
    (program,) = (
        block.text
        for block in blocks(ROOT / "docs/how-to/sign-urls.md")
        if block.note == f"saved as: {name}"
    )
    (tmp_path / name).write_text(program)
    environ = os.environ | {"SIGNING_KEYS": f"{KEY},{OLD}"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environ, capture_output=True, check=True, text=True, timeout=60
    )
    return done.stdout.split()


def check(url: str) -> None:
    path, _, query = url.partition("?")
    text, signature = canonical(path, query)
    assert signature
    SIGNATURES.check(text, signature, original=False)


def test_python(tmp_path: Path) -> None:
    by_query, by_path = run(tmp_path, "sign.py", sys.executable, "sign.py", IMAGE)
    check(by_query)
    _, _, _, signature, rest = by_path.split("/", 4)
    SIGNATURES.check(f"/{rest}", signature, original=False)


@pytest.mark.parametrize("query", ["width=512&format=webp", "w=5", "text=a%20b&w=9&expires=99"])
def test_shell(tmp_path: Path, query: str) -> None:
    (url,) = run(tmp_path, "sign.sh", "bash", "sign.sh", f"/image/images/{IMAGE}", query)
    check(url)
