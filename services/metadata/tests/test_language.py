"""The query language: what it says, what it prints, and where it goes wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imagesystem.errors import Rejected
from metadata_service.filters import FIELDS, TERMS, conditions
from metadata_service.parameters import read
from metadata_service.queries import Condition
from metadata_service.search.asking import FOUND_BY
from metadata_service.search.language import Node, Term, Text, meaning, parse, printed

ANYTHING = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
NAMES = st.from_regex(r"[a-z_][a-z_0-9]{0,8}", fullmatch=True)
TERM_NODES: st.SearchStrategy[Node] = st.builds(
    Term,
    name=st.one_of(NAMES, st.sampled_from(sorted(TERMS))),
    comparison=st.sampled_from([":", ">", ">=", "<", "<="]),
    values=st.lists(ANYTHING, min_size=1, max_size=3).map(tuple),
    negated=st.booleans(),
)
TEXT_NODES: st.SearchStrategy[Node] = st.builds(
    Text,
    text=st.one_of(ANYTHING, st.sampled_from(["OR", "AND"])).filter(
        lambda text: bool(text.strip())
    ),
    negated=st.booleans(),
)


def nodes(text: str) -> list[Node]:
    return [node for node, _ in parse(text)]


@given(st.lists(st.one_of(TERM_NODES, TEXT_NODES), max_size=6))
@settings(deadline=None)
def test_what_is_printed_says_the_same(said: list[Node]):
    assert nodes(printed(said)) == said


@given(st.text(max_size=60))
@settings(deadline=None)
def test_any_line_has_a_meaning_or_a_place_where_it_goes_wrong(text: str):
    try:
        assert nodes(printed(nodes(text))) == nodes(text)
        meaning(text)
    except Rejected as error:
        wrong: Rejected | None = error
    else:
        wrong = None
    if wrong is not None:
        assert (wrong.status, wrong.code) == (400, "invalid_query")
        assert wrong.position is not None
        assert 0 <= wrong.position <= len(text)


def test_the_example():
    assert nodes('label:cat faces>1 taken:2024 -tag:private color:#3366cc "two words" x') == [
        Term(name="label", comparison=":", values=("cat",)),
        Term(name="faces", comparison=">", values=("1",)),
        Term(name="taken", comparison=":", values=("2024",)),
        Term(name="tag", comparison=":", values=("private",), negated=True),
        Term(name="color", comparison=":", values=("#3366cc",)),
        Text(text="two words"),
        Text(text="x"),
    ]


#: Queries, and the parameters that mean the same.
SAME: list[tuple[str, dict[str, Any]]] = [
    ("tag:cat", {"any_tag": "cat"}),
    ("-tag:private", {"no_tag": "private"}),
    ("format:png,jpeg", {"format": ["png", "jpeg"]}),
    ("label:cat:0.5 label:dog", {"label": ["cat:0.5", "dog"]}),
    ("object:person:2", {"object": "person:2"}),
    ("faces>=2 faces<=5", {"min_faces": "2", "max_faces": "5"}),
    ("faces:2..5", {"min_faces": "2", "max_faces": "5"}),
    ("has:text", {"has_text": "true"}),
    ("-has:text", {"has_text": "false"}),
    ("taken:2024", {"taken_after": "2024-01-01T00:00:00Z", "taken_before": "2025-01-01T00:00:00Z"}),
    (
        "taken:2024-12",
        {"taken_after": "2024-12-01T00:00:00", "taken_before": "2025-01-01T00:00:00"},
    ),
    ("taken:2023..2024-05", {"taken_after": "2023", "taken_before": "2024-06"}),
    ("uploaded:2024-02-29", {"uploaded_after": "2024-02-29", "uploaded_before": "2024-03-01"}),
    ("color:#3366cc:9", {"near_colour": "3366cc:9"}),
    ("near:52.5,13.4,10km", {"near": "52.5,13.4,10"}),
    ("box:13,52,14,53", {"box": "13,52,14,53"}),
    ("name:IMG", {"filename": "IMG"}),
]


@pytest.mark.parametrize(("text", "given"), SAME)
def test_terms_mean_what_parameters_mean(text: str, given: dict[str, Any]):
    pairs = [
        (name, value)
        for name, values in given.items()
        for value in (values if isinstance(values, list) else [values])
    ]
    assert meaning(text).conditions == conditions(read(pairs, FOUND_BY))


def test_every_field_is_in_the_language():
    assert {field.name for field in FIELDS} <= set(TERMS)
    assert all(field.kind.form for field in FIELDS)


def test_times():
    after = meaning("taken>2024").conditions
    assert after == (
        Condition(field="taken_at", operator="at_least", value=datetime(2025, 1, 1, tzinfo=UTC)),
    )
    assert meaning("taken<=2024").conditions[0].value == datetime(2025, 1, 1, tzinfo=UTC)
    assert len(meaning("taken:2023..").conditions) == 1


def test_words_of_other_languages_can_be_looked_for():
    assert nodes('"OR" or') == [Text(text="OR"), Text(text="or")]
    assert printed([Text(text="OR"), Text(text="or")]) == '"OR" or'
    assert printed([Term(name="tag", comparison=">", values=("=",))]) == 'tag>"="'


def test_words():
    wanted = meaning('Käse "two  Words" -dog -"x y"').words
    assert wanted is not None
    assert wanted.phrases == (" kase ", " two words ")
    assert wanted.without == (" dog ", " x y ")
    assert wanted.terms == ["kase", "two", "words"]


@pytest.mark.parametrize(
    ("text", "position", "about"),
    [
        ("cat lable:dog", 4, "no field 'lable'"),
        ("-lable:dog", 1, "no field"),
        ("cat -", 4, "nothing after the minus"),
        ('cat "two words', 4, "not closed"),
        ('tag:"two words', 4, "not closed"),
        ('""', 0, "nothing between"),
        ("faces:many", 6, "faces='many'"),
        ("faces>=1.5", 7, "faces='1.5'"),
        ("tag>1", 3, "knows no >"),
        ("tag: cat", 4, "needs a value"),
        ("tag:cat,", 8, "needs a value"),
        ('tag:"a"b', 7, "a space or a comma"),
        ("taken:tomorrow", 6, "is not 2024"),
        ("taken:2024-13", 6, "is not 2024"),
        ("taken:..", 6, "is not 2024"),
        ("near:1,2", 5, "latitude,longitude,kilometres"),
        ("near:91,2,1", 5, "beyond 90"),
        ("box:1,2,3,1", 4, "south 2 is above north 1"),
        ("color:#12", 6, "not a colour"),
        ("color:#112233:200", 6, "ΔE is 0 to 100"),
        ("label:cat:-1", 6, "least score"),
        ("status:done", 7, "status='done'"),
        ("has:wings", 4, "has='wings'"),
        ("mp>nan", 3, "megapixels='nan'"),
        ("label:cat:2", 6, "(0-1)"),
        ("object:cat:1.5", 7, "least count"),
        ("faces:3..1", 6, "is empty: the lesser end comes first"),
        ("taken:2025..2024", 6, "is empty"),
        ("rating:6", 7, "<= 5"),
        ("cat OR dog", 4, "give alternatives with commas"),
        ("cat AND dog", 4, "there is no AND"),
        ("cat -NOT", 5, "there is no NOT"),
        ("-cat", 0, "what to look for"),
        ("!!!", 0, "no word"),
        ("x " * 51, 100, "50 parts"),
        ("x" * 1001, 1000, "1000 characters"),
    ],
)
def test_what_is_wrong_and_where(text: str, position: int, about: str):
    with pytest.raises(Rejected) as raised:
        meaning(text)
    assert (raised.value.code, raised.value.position) == ("invalid_query", position)
    assert about in raised.value.message
    assert raised.value.message.startswith(f"character {position + 1}: ")
