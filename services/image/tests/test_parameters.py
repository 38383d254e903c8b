from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_service.darkroom import key
from image_service.formats import FORMATS
from image_service.geometry import FITS
from image_service.kinds import Choice
from image_service.parameters import BY_NAME, PARAMETERS, Recipe, Source, parse, resolve
from imagesystem.errors import Rejected

JPEG = "image/jpeg"
SIZE = (1600, 1200)


def recipe(query: str, media_type: str = JPEG, accept: str = "", size=SIZE) -> Recipe:
    wanted = parse(query)
    assert wanted is not None
    return resolve(wanted, Source(media_type=media_type, width=size[0], height=size[1]), accept)


def test_no_parameters_ask_for_the_original():
    assert parse("") is None
    assert parse("&") is None


def test_every_parameter_is_read():
    assert parse("width=320&height=200&fit=cover&format=webp&quality=70").values == {
        "width": 320,
        "height": 200,
        "fit": "cover",
        "format": "webp",
        "quality": 70,
    }


def test_other_spellings():
    assert parse("w=320&h=200&f=jpg&q=70") == parse("width=320&height=200&format=jpeg&quality=70")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("widht=5", "unknown_parameter"),
        ("width=5&evil=%3Cscript%3E", "unknown_parameter"),
        ("%FF=5", "unknown_parameter"),
        ("=5", "unknown_parameter"),
        ("width=5&width=6", "repeated_parameter"),
        ("width=5&w=5", "repeated_parameter"),
        ("width=0", "invalid_parameter"),
        ("width=-5", "invalid_parameter"),
        ("width=16385", "invalid_parameter"),
        ("width=99999999999999999999", "invalid_parameter"),
        ("width=5.5", "invalid_parameter"),
        ("width=%2B5", "invalid_parameter"),
        ("width=5_0", "invalid_parameter"),
        ("width=%D9%A5", "invalid_parameter"),
        ("width=NaN", "invalid_parameter"),
        ("width=", "invalid_parameter"),
        ("width", "invalid_parameter"),
        ("width=%FF%00", "invalid_parameter"),
        ("quality=0", "invalid_parameter"),
        ("quality=101", "invalid_parameter"),
        ("fit=Cover", "invalid_parameter"),
        ("format=svg", "invalid_parameter"),
        ("format=../../etc/passwd", "invalid_parameter"),
        ("&".join(f"p{n}=1" for n in range(100)), "too_many_parameters"),
    ],
)
def test_what_cannot_be_asked_for(query, code):
    with pytest.raises(Rejected) as caught:
        parse(query)
    assert caught.value.status == 400
    assert caught.value.code == code
    assert caught.value.allowed is not None


def test_a_bad_value_names_its_parameter_what_it_may_be_and_what_it_was():
    with pytest.raises(Rejected) as caught:
        parse("quality=400")
    assert (caught.value.limit, caught.value.allowed, caught.value.actual) == (
        "quality",
        "1 to 100",
        "400",
    )


@given(st.text(max_size=60))
def test_any_query_is_parsed_or_rejected(query):
    statuses = []
    try:
        parse(query)
    except Rejected as error:
        statuses.append(error.status)
    assert statuses in ([], [400])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("w=512&format=jpeg", "format=jpg&width=512"),
        ("width=512", "width=512&fit=cover"),
        ("width=512&height=300", "height=300&width=512&fit=scale-down"),
        ("format=jpeg", "format=jpeg&quality=80"),
        ("format=png&quality=20", "format=png"),
        ("width=512", "width=512&format=jpeg"),
    ],
)
def test_what_means_the_same_is_the_same(one, other):
    assert key("0" * 64, recipe(one)) == key("0" * 64, recipe(other))


@pytest.mark.parametrize(
    "query", ["width=511", "width=512&height=512", "width=512&quality=79", "width=512&format=webp"]
)
def test_what_differs_is_not_the_same(query):
    assert key("0" * 64, recipe(query)) != key("0" * 64, recipe("width=512"))
    assert key("0" * 64, recipe(query)) != key("1" * 64, recipe(query))


@pytest.mark.parametrize(
    ("media_type", "name"),
    [
        ("image/jpeg", "jpeg"),
        ("image/png", "png"),
        ("image/webp", "webp"),
        ("image/avif", "avif"),
        ("image/gif", "gif"),
        ("image/tiff", "png"),
        ("image/bmp", "png"),
    ],
)
def test_without_a_format_it_stays_what_it_is_if_browsers_show_that(media_type, name):
    assert recipe("width=5", media_type).format == name


@pytest.mark.parametrize(
    ("accept", "name"),
    [
        ("image/avif,image/webp,*/*;q=0.8", "avif"),
        ("image/webp,*/*", "webp"),
        ("IMAGE/WEBP ; q=0.5", "webp"),
        ("image/avif;q=0, image/webp", "webp"),
        ("image/avif; q=0.000, */*", "jpeg"),
        ("*/*", "jpeg"),
        ("image/*", "jpeg"),
        ("", "jpeg"),
        (";;,,;q=,", "jpeg"),
    ],
)
def test_auto_takes_what_the_client_names(accept, name):
    assert recipe("format=auto", accept=accept).format == name


def test_auto_avoids_a_format_that_cannot_hold_the_picture():
    assert recipe("format=auto", accept="image/webp", size=(20_000, 100)).format == "jpeg"


def test_every_name_means_one_parameter():
    names = [name for each in PARAMETERS for name in (each.name, *each.aliases)]
    assert len(names) == len(set(names)) == len(BY_NAME)


def test_the_choices_come_from_their_tables():
    choices = {p.name: p.kind.words for p in PARAMETERS if isinstance(p.kind, Choice)}
    assert choices["fit"] == tuple(FITS)
    assert choices["format"] == ("auto", *FORMATS)
