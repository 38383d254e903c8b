"""Scripts that run from right to left: from the order on the page to the order of reading."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["logical", "runs_left"]

#: Bidirectional classes (UAX 9) of letters that are read from right to left, and of letters and
#: numbers that are read from left to right wherever they stand.
LEFTWARD, RIGHTWARD = {"R", "AL"}, {"L", "EN", "AN"}
#: Stretches that run one way: from a letter to a letter, with nothing of the other way between.
_STRETCH = {"left": re.compile("l[ln]*l|l"), "right": re.compile("r[rn]*r|r")}
_MIRRORED = str.maketrans("()[]{}<>«»", ")(][}{><»«")


def runs_left(text: str) -> bool:
    """Say whether a text is read from right to left: most of its letters are."""
    if text.isascii():
        return False
    kinds = [unicodedata.bidirectional(letter) for letter in text]
    leftward = sum(kind in LEFTWARD for kind in kinds)
    return leftward > 0 and leftward >= kinds.count("L")


def logical(text: str) -> str:
    """Return what a network reads from left to right, in the order in which people read it."""
    ways = "" if text.isascii() else "".join(map(_way, text))
    if "l" not in ways:
        return text
    if not runs_left(text):
        return _turned(text, ways, "left")
    return _turned(_reversed(text), ways[::-1], "right")


def _turned(text: str, ways: str, stretch: str) -> str:
    """Return a text with its stretches of one way turned round, each where it is."""
    for found in _STRETCH[stretch].finditer(ways):
        start, end = found.span()
        text = text[:start] + _reversed(text[start:end]) + text[end:]
    return text


def _reversed(text: str) -> str:
    return text[::-1].translate(_MIRRORED)


def _way(letter: str) -> str:
    kind = unicodedata.bidirectional(letter)
    return "l" if kind in LEFTWARD else "r" if kind in RIGHTWARD else "n"
