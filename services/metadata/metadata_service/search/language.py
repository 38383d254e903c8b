r"""The query language: one line that says what pictures somebody wants.

    query  = { [ "-" ] ( term | text ) }          everything must hold; "-" turns it around
    term   = name compare value { "," value }     no space in it, outside of quotes
    compare = ":" | "=" | ">" | ">=" | "<" | "<="
    value  = a run of characters without spaces, commas and quotes | '"' anything '"'
    text   = a word | '"' several words '"'       in quotes \" is a quote, \\ a backslash

`label:cat faces>1 taken:2024 -tag:private color:#3366cc "two words"`
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias, cast

import msgspec
from imagesystem.errors import Rejected

from metadata_service.filters import TERMS
from metadata_service.kinds import Comparison
from metadata_service.queries import Condition
from metadata_service.search.words import Wanted, folded

__all__ = ["Meaning", "Node", "Term", "Text", "meaning", "parse", "printed"]

MAX_CHARACTERS = 1000
MAX_NODES = 50

_HEAD = re.compile(r"([A-Za-z_][A-Za-z_0-9]*)(>=|<=|[:=><])")
_BARE_VALUE = re.compile(r'[^\s,"]+')
_BARE_WORD = re.compile(r'[^\s"]+')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_SPACE = re.compile(r"\s*")
#: What other languages have; here it would be looked for as a word, and nothing be found.
_ELSEWHERE = {
    "OR": "there is no OR: give alternatives with commas, tag:cat,dog",
    "AND": "there is no AND: all parts must hold anyway",
    "NOT": "there is no NOT: put a minus before what must not be",
}


class Term(msgspec.Struct, frozen=True, kw_only=True):
    """A field compared with values; `name` is as written, in lower case."""

    name: str
    comparison: Comparison
    values: tuple[str, ...]
    negated: bool = False


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """Words that must be found, in this order."""

    text: str
    negated: bool = False


Node: TypeAlias = Term | Text


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """What a query asks: conditions as parameters make them, and words to find."""

    conditions: tuple[Condition, ...] = ()
    words: Wanted | None = None


def parse(text: str) -> list[tuple[Node, int]]:
    """Return the parts of a query, each with the position of its first character (from 0).

    Raises `Rejected` 400 `invalid_query` with the position of what is wrong.
    """
    if len(text) > MAX_CHARACTERS:
        raise _wrong(f"a query has {MAX_CHARACTERS} characters at most", MAX_CHARACTERS)
    nodes: list[tuple[Node, int]] = []
    position = _past_space(text, 0)
    while position < len(text):
        if len(nodes) == MAX_NODES:
            raise _wrong(f"a query has {MAX_NODES} parts at most", position)
        node, end = _node(text, position)
        nodes.append((node, position))
        position = _past_space(text, end)
    return nodes


def printed(nodes: Iterable[Node]) -> str:
    """Return the query that parses to these nodes."""
    return " ".join(("-" if node.negated else "") + _printed(node) for node in nodes)


def meaning(text: str) -> Meaning:
    """Return what a query asks; raises `Rejected` 400 `invalid_query` with a `position`."""
    conditions: list[Condition] = []
    phrases: dict[bool, list[str]] = {False: [], True: []}
    first_text: int | None = None
    for node, position in parse(text):
        if isinstance(node, Text):
            phrase = folded(node.text)
            if not phrase:
                raise _wrong(f"there is no word in {node.text[:50]!r} to look for", position)
            phrases[node.negated].append(phrase)
            first_text = position if first_text is None else first_text
        else:
            conditions += _meant(node, position)
    if first_text is not None and not phrases[False]:
        raise _wrong("say also what to look for, not only what to leave out", first_text)
    wanted = Wanted(phrases=tuple(phrases[False]), without=tuple(phrases[True]))
    return Meaning(conditions=tuple(conditions), words=None if first_text is None else wanted)


def _meant(term: Term, position: int) -> list[Condition]:
    after = position + term.negated
    field = TERMS.get(term.name)
    if field is None:
        raise _wrong(
            f"there is no field {term.name[:50]!r} (put words with a colon in quotes)",
            after,
            allowed=", ".join(sorted(TERMS)),
        )
    behind = after + len(term.name)
    if term.comparison not in field.kind.comparisons:
        allowed = " ".join(field.kind.comparisons)
        raise _wrong(f"{term.name} knows no {term.comparison}", behind, allowed=allowed)
    try:
        found = field.kind.term(field, term.comparison, term.values)
    except Rejected as error:
        raise _wrong(
            error.message, behind + len(term.comparison), allowed=field.kind.form
        ) from error
    if not term.negated:
        return list(found)
    if len(found) == 1:
        return [msgspec.structs.replace(found[0], negated=True)]
    # Not inside a range: outside of one of its ends.
    return [Condition(field=field.path, operator="all_hold", value=found, negated=True)]


def _node(text: str, position: int) -> tuple[Node, int]:
    negated = text[position] == "-"
    start = position + negated
    if start == len(text) or text[start].isspace():
        raise _wrong("there is nothing after the minus", position)
    if text[start] == '"':
        words, end = _quoted(text, start)
        if not words.strip():
            raise _wrong("there is nothing between the quotes", start)
        return Text(text=words, negated=negated), end
    head = _HEAD.match(text, start)
    if head is None:
        word = _BARE_WORD.match(text, start)
        assert word is not None  # noqa: S101  neither space nor quote
        if word[0] in _ELSEWHERE:
            raise _wrong(f"{_ELSEWHERE[word[0]]} (in quotes it is a word)", start)
        return Text(text=word[0], negated=negated), word.end()
    comparison = cast("Comparison", head[2].replace("=", ":") if head[2] == "=" else head[2])
    values, end = _values(text, head.end(), head[1])
    name = head[1].lower()
    return Term(name=name, comparison=comparison, values=tuple(values), negated=negated), end


def _values(text: str, position: int, name: str) -> tuple[list[str], int]:
    values: list[str] = []
    while True:
        if text[position : position + 1] == '"':
            value, position = _quoted(text, position)
        else:
            bare = _BARE_VALUE.match(text, position)
            if bare is None:
                raise _wrong(f"{name[:50]} needs a value", position)
            value, position = bare[0], bare.end()
        values.append(value)
        follows = text[position : position + 1]
        if follows != ",":
            if follows and not follows.isspace():
                raise _wrong("a space or a comma is missing", position)
            return values, position
        position += 1


def _quoted(text: str, position: int) -> tuple[str, int]:
    found = _QUOTED.match(text, position)
    if found is None:
        raise _wrong("the quote is not closed", position)
    return _ESCAPE.sub(r"\1", found[1]), found.end()


def _past_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _printed(node: Node) -> str:
    if isinstance(node, Term):
        # `a>=` is a comparison, so that a value that begins so is quoted.
        bare = (_BARE_VALUE.fullmatch(each) and each[0] != "=" for each in node.values)
        values = (
            each if as_is else _quotes(each) for each, as_is in zip(node.values, bare, strict=True)
        )
        return f"{node.name}{node.comparison}{','.join(values)}"
    plain = _BARE_WORD.fullmatch(node.text) and node.text[0] != "-" and not _HEAD.match(node.text)
    return node.text if plain and node.text not in _ELSEWHERE else _quotes(node.text)


def _quotes(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _wrong(message: str, position: int, *, allowed: str | None = None) -> Rejected:
    return Rejected(
        400,
        "invalid_query",
        f"character {position + 1}: {message}",
        position=position,
        allowed=allowed,
    )
