from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_service.kinds import (
    Colours,
    Flag,
    Integer,
    Line,
    Number,
    Numbers,
    Ratio,
    Region,
    Regions,
    Switch,
    Text,
    Words,
)
from image_service.parameters import PARAMETERS


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Integer(1, 10), "5", 5),
        (Number(0, 10), "5", 5.0),
        (Number(0, 10), "5.0", 5.0),
        (Number(-5, 10), "-0.5", -0.5),
        (Flag(), "", True),
        (Flag(), "1", True),
        (Flag(), "false", False),
        (Switch(0, 100, 50), "", 50.0),
        (Switch(0, 100, 50), "false", False),
        (Switch(0, 100, 50), "1", 1.0),
        (Words(("a", "b")), "b,a,b", ("a", "b")),
        (Numbers((1, 2), 0, 9, "", ""), "1,2", (1.0, 2.0)),
        (Ratio(), "16:9", 16 / 9),
        (Ratio(), "4/2", 2.0),
        (Ratio(), "2", 2.0),
        (Colours(), "fff", (255, 255, 255, 255)),
        (Colours(), "#FFFFFF", (255, 255, 255, 255)),
        (Colours(), "white", (255, 255, 255, 255)),
        (Colours(), "ff000080", (255, 0, 0, 128)),
        (Colours(), "transparent", (0, 0, 0, 0)),
        (Colours(2), "000,fff", ((0, 0, 0, 255), (255, 255, 255, 255))),
        (Region(), "1,2,3,4", ("px", 1.0, 2.0, 3.0, 4.0)),
        (Region(), "0,0,0.5,1", ("share", 0.0, 0.0, 0.5, 1.0)),
        (Regions(3), "faces;1,2,3,4", (("px", 1.0, 2.0, 3.0, 4.0), "faces")),
        (Line(5, ""), "añ©", "añ©"),
        (Text(5, ""), "an\u0303©", "añ©"),
    ],
)
def test_what_texts_say(kind, text, value):
    assert kind.value(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Integer(1, 10), "5.0"),
        (Integer(1, 10), "11"),
        (Integer(1, 10), "\u0665"),
        (Number(0, 10), "nan"),
        (Number(0, 10), "1e1"),
        (Number(0, 10), "inf"),
        (Number(0, 10), " 1"),
        (Number(0, 10), "-1"),
        (Flag(), "yes please"),
        (Words(("a", "b")), "a,c"),
        (Words(("a", "b")), ""),
        (Numbers((1, 2), 0, 9, "", ""), "1,2,3"),
        (Numbers((1, 2), 0, 9, "", ""), "1,,"),
        (Ratio(), "0:1"),
        (Ratio(), "1:0"),
        (Ratio(), "1000:1"),
        (Colours(), "ff"),
        (Colours(), "hsl(0,100%,50%)"),
        (Colours(2), "fff"),
        (Region(), "1,2,3"),
        (Region(), "0.5,0,0.6,1.0"),
        (Region(), "1,2,0,4"),
        (Region(), "-1,2,3,4"),
        (Regions(2), "1,2,3,4;faces;5,6,7,8"),
        (Regions(2), ""),
        (Line(5, ""), ""),
        (Line(5, ""), "123456"),
        (Line(5, ""), "a\nb"),
        (Line(5, ""), "a\x00"),
        (Text(5, ""), "123456"),
        (Text(5, ""), "a" + "\u0301" * 100_000),
    ],
)
def test_what_texts_do_not_say(kind, text):
    assert kind.value(text) is None


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda each: each.name)
def test_every_parameter_takes_its_examples_and_says_what_it_allows(parameter):
    assert parameter.kind.examples
    for example in parameter.kind.examples:
        assert parameter.kind.value(example) is not None
    assert parameter.allowed
    assert parameter.description
    schema = parameter.kind.schema()
    assert "type" in schema or "anyOf" in schema


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda each: each.name)
@given(text=st.text(max_size=40))
def test_any_text_is_a_value_or_none(parameter, text):
    value = parameter.kind.value(text)
    assert value is None or hash(value) is not None
