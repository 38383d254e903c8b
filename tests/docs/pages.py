"""The code blocks of a page, and what the comment before each says about it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(
    r"(?:^<!-- (?P<note>[^\n]*?) -->\n+)?^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
#: Folders of what others wrote.
INSTALLED = frozenset({"node_modules", ".venv"})


class Block(NamedTuple):
    """One fenced block; `note` is the HTML comment right before it, `line` where it begins."""

    language: str
    text: str
    note: str
    line: int


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    content = page.read_text()
    return [
        Block(
            language=found["language"],
            text=found["text"],
            note=found["note"] or "",
            line=content.count("\n", 0, found.start("text")),
        )
        for found in BLOCK.finditer(content)
    ]


def pages() -> list[Path]:
    """Return every page that people read, without what is installed or built."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("shared/*.md")]
    found += [*ROOT.glob("services/*/*.md"), *ROOT.glob("deploy/**/*.md")]
    found += ROOT.glob("tests/**/*.md")
    return sorted(page for page in found if INSTALLED.isdisjoint(page.parts))


def name(page: Path) -> str:
    """Return a page's path inside the repository."""
    return str(page.relative_to(ROOT))
