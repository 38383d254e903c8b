"""Words: how text is folded for searching, and how well a picture fits the words of a query.

Folded text is lower case without accents, letters and digits only, one space around each word:
` img 2024 kafer jpg `. Writing without spaces (Chinese, Japanese, Thai …) becomes a word per
character. The spaces at both ends let a database find whole words by looking for parts of text.

The score is MongoDB's own (text index version 3, `FTSSpec::_scoreStringV2`), so that the
explanation of a hit adds up to what the database ranked it by.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping

import msgspec

__all__ = ["WEIGHTS", "WORTH", "Match", "Wanted", "explained", "folded", "scored"]

#: What a word is worth, by where it is.
WEIGHTS: dict[str, float] = {"tags": 10, "caption": 8, "filename": 5, "labels": 4, "text": 2}
#: Every hit is worth more than this: a word in a long text, of the least weight.
WORTH = min(WEIGHTS.values()) / 2
#: Characters of one text that are looked through.
MOST = 64_000
#: Characters of one word.
LONGEST = 64

_MARKS = re.compile(r"[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
#: Scripts that put no spaces between words: Thai to Khmer, kana, bopomofo, Han.
_ALONE = re.compile(
    r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u312f\u31a0-\u31ff\u3400-\u9fff"
    r"\uf900-\ufaff\U00020000-\U0003ffff])"
)
#: `IMG2024` is two words, as people write filenames.
_SEAMS = re.compile(r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")
_BETWEEN = re.compile(r"[\W_]+")


def folded(text: str) -> str:
    """Return the words of a text, each between single spaces; empty if there is none."""
    spaced = _SEAMS.sub(" ", text[:MOST])
    if spaced.isascii():  # as most is: no accents, no other scripts
        return _between_spaces(_BETWEEN.sub(" ", spaced.lower()))
    plain = _MARKS.sub("", unicodedata.normalize("NFKD", spaced).casefold())
    plain = unicodedata.normalize("NFC", _MARKS.sub("", unicodedata.normalize("NFKD", plain)))
    return _between_spaces(_BETWEEN.sub(" ", _ALONE.sub(r" \1 ", plain)))


def _between_spaces(text: str) -> str:
    found = text.split()
    return f" {' '.join(word[:LONGEST] for word in found)} " if found else ""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Folded phrases that a picture must have all of, and those it must have none of."""

    phrases: tuple[str, ...]
    without: tuple[str, ...] = ()

    @property
    def terms(self) -> list[str]:
        """The words that count for the score, each once."""
        return sorted({word for phrase in self.phrases for word in phrase.split()})


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """A field in which words of the query were found, and what that is worth."""

    field: str
    words: list[str]
    score: float


def explained(held: Mapping[str, str | list[str]], wanted: Wanted) -> list[Match]:
    """Return where the words were found in folded texts, best first."""
    terms = frozenset(wanted.terms)
    matches = []
    for field, weight in WEIGHTS.items():
        scores: dict[str, float] = {}
        for part in _parts(held.get(field)):
            for word, score in _scores(part, terms):
                scores[word] = scores.get(word, 0.0) + weight * score
        if scores:
            matches.append(Match(field=field, words=sorted(scores), score=sum(scores.values())))
    return sorted(matches, key=lambda match: (-match.score, match.field))


def scored(held: Mapping[str, str | list[str]], wanted: Wanted) -> float | None:
    """Return how well the texts fit; None if they do not have what is wanted."""
    parts = [part for field in WEIGHTS for part in _parts(held.get(field))]
    if not all(any(phrase in part for part in parts) for phrase in wanted.phrases):
        return None
    if any(phrase in part for part in parts for phrase in wanted.without):
        return None
    return sum(match.score for match in explained(held, wanted))


def _parts(text: str | list[str] | None) -> list[str]:
    return [text] if isinstance(text, str) else text or []


def _scores(text: str, terms: frozenset[str]) -> Iterator[tuple[str, float]]:
    """Yield what the words wanted are worth in one text: repetition counts ever less."""
    words = text.split()
    for word, count in Counter(word for word in words if word in terms).items():
        yield word, (2 - 0.5 ** (count - 1)) * (0.5 * count / len(words) + 0.5)
