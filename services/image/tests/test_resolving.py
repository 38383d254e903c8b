from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_service.darkroom import key
from image_service.formats import FORMATS
from image_service.parameters import PARAMETERS, Interpreter, Parameter, parse, resolve
from image_service.renditions import render
from imagesystem.errors import Rejected

from services.image.tests.samples import LIMITS, gradient, of, opened, recipe_of, saved

SOURCE = saved(gradient())
#: Parameters that other pictures, facts or the configuration answer.
_ELSEWHERE = {"watermark", "fallback", "preset", "signature", "expires"}
_PLAIN = [each for each in PARAMETERS if each.name not in _ELSEWHERE]


def _said(parameter: Parameter) -> st.SearchStrategy[tuple[str, str]]:
    names = st.sampled_from((parameter.name, *parameter.aliases))
    return st.tuples(names, st.sampled_from(parameter.kind.examples))


_WANTED = st.lists(
    st.sampled_from(_PLAIN), min_size=1, max_size=7, unique_by=lambda each: each.name
).flatmap(lambda some: st.tuples(*(_said(each) for each in some)))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(said=_WANTED, accept=st.sampled_from(["", "image/webp", "image/avif,image/webp"]))
def test_any_valid_parameters_make_what_they_promise_or_say_why_not(said, accept):
    refusal = made = recipe = None
    try:
        recipe = recipe_of(SOURCE, urlencode(said), accept)
        made = render(SOURCE, recipe, LIMITS)
    except Rejected as error:
        refusal = error
    if made is None or recipe is None:
        assert refusal is not None
        assert refusal.status in (400, 422)
        assert refusal.message
        return
    picture = opened(made.data)
    assert picture.format == FORMATS[recipe.format].pillow
    assert picture.size == (made.width, made.height)
    top, right, bottom, left = recipe.padding
    if recipe.width and recipe.height and recipe.fit == "contain" and recipe.least == (1, 1):
        promised = min(recipe.width, recipe.most[0]), min(recipe.height, recipe.most[1])
        assert picture.width - left - right <= promised[0]
        assert picture.height - top - bottom <= promised[1]
    if recipe.max_bytes:
        assert len(made.data) <= recipe.max_bytes


@settings(max_examples=150, deadline=None)
@given(said=_WANTED, order=st.randoms(use_true_random=False))
def test_parameters_commute(said, order):
    shuffled = list(said)
    order.shuffle(shuffled)
    found = []
    for each in (said, shuffled):
        try:
            found.append(key("0" * 64, recipe_of(SOURCE, urlencode(each))))
        except Rejected as error:
            found.append(error.code)
    assert found[0] == found[1]


def recipe(query: str, **source):
    wanted = parse(query)
    assert wanted is not None
    return resolve(wanted, of(**source))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("w=50&dpr=2", "width=100"),
        ("w=50&zoom=2", "width=100"),
        ("w=50&dpr=1&zoom=1", "w=50"),
        ("dpr=2&format=png", "format=png"),
        ("flip&flop&w=9", "rotate=180&w=9"),
        ("rotate=270&w=9", "r=-90&w=9"),
        ("rotate=360&w=9", "w=9"),
        ("flip&rotate=180&w=9", "flop&w=9"),
        ("flip&w=9", "flop&rotate=180&w=9"),
        ("w=40&ar=2", "w=40&h=20&fit=cover"),
        ("w=9&h=9&preserve_ratio=false", "w=9&h=9&fit=fill"),
        ("w=9&preserve_ratio=true", "w=9"),
        ("w=9&gravity=north", "w=9"),
        ("w=9&h=9&fit=cover&gravity=center", "w=9&h=9&fit=cover"),
        ("w=9&h=9&fit=cover&gravity=0.5,0", "w=9&h=9&fit=cover&gravity=top"),
        ("w=9&gravity=smart", "w=9"),
        ("w=9&extend", "w=9"),
        ("w=9&h=9&fit=contain&extend", "w=9&h=9&fit=contain"),
        ("w=9&crop=0.0,0,1,1", "w=9"),
        ("w=9&trim=false", "w=9"),
        ("w=9&trim", "w=9&trim=10"),
        ("w=9&padding=5", "w=9&padding=5,5"),
        ("w=9&padding=5,6", "w=9&padding=5,6,5,6"),
        ("w=9&bg=fff", "w=9&background=white"),
        ("w=9&gaussian=3", "w=9&blur=3.0"),
        ("w=9&blur=0&hue=0&gamma=1&posterize=8&pixelate=1&median=1", "w=9"),
        ("w=9&sepia=false&grayscale=0", "w=9"),
        ("w=9&greyscale", "w=9&grayscale=true"),
        ("w=9&sepia", "w=9&sepia=100"),
        ("w=9&watermark_scale=0.5", "w=9"),
        ("w=9&text_size=20", "w=9"),
        ("w=9&redact_with=fill", "w=9"),
        ("w=9&redact=1,1,2,2;3,3,2,2", "w=9&redact=3,3,2,2;1,1,2,2"),
        ("w=9&progressive", "w=9"),
        ("w=9&palette=9&format=jpeg", "w=9&format=jpeg"),
        ("w=9&animate", "w=9"),
        ("w=9&frame=0", "w=9"),
        ("w=9&round=0", "w=9"),
        ("w=9&enlarge=false", "w=9"),
    ],
)
def test_what_means_the_same_is_the_same(one, other):
    assert recipe(one) == recipe(other)
    assert key("0" * 64, recipe(one)) == key("0" * 64, recipe(other))


def test_presets_and_access_leave_no_trace_of_their_own():
    assert parse("signature=abc&expires=5") is None
    wanted = parse("w=9&signature=abc&expires=5")
    assert wanted is not None
    assert wanted.values == {"width": 9}


def test_everything_that_changes_the_picture_changes_the_recipe():
    """No two parameters, each alone, make the same recipe, and none makes that of nothing."""
    plain = "w=40&h=40&fit=cover&format=png"
    said = {
        "enlarge": "enlarge",
        "zoom": "zoom=0.5",
        "dpr": "dpr=0.5",
        "min_width": "min_width=44",
        "crop": "crop=1,1,9,9",
        "gravity": "gravity=north",
        "orient": "orient=false",
        "watermark": "watermark=0198c0de-0000-8000-8000-000000000000",
        "text": "text=a",
        "redact": "redact=1,1,9,9",
        "keep": "keep=profile",
        "background": "bg=red",
        "padding": "padding=3",
        "circle": "circle",
        "round": "round=4",
        "max_bytes": "max_bytes=5000",
        "rotate": "rotate=3",
        "trim": "trim",
        "palette": "palette=5",
    }
    names = {key("0" * 64, recipe(f"{plain}&{query}")) for query in said.values()}
    assert len(names) == len(said) - 1  # zoom and dpr of sizes are one
    assert key("0" * 64, recipe(plain)) not in names


def test_animations_are_kept_where_they_can_be():
    gif = {"media_type": "image/gif", "frames": 5}
    assert recipe("w=9", **gif).animate
    assert recipe("w=9&format=webp", **gif).animate
    assert not recipe("w=9&format=png", **gif).animate
    assert not recipe("w=9&format=jpeg&animate", **gif).animate
    assert not recipe("w=9", media_type="image/tiff", frames=5).animate
    assert not recipe("w=9", media_type="image/gif").animate


def test_what_is_remembered_is_what_would_be_said_again():
    interpreter = Interpreter()
    for accept in ("image/webp", "", "image/avif", "image/webp"):
        for query in ("w=9&format=auto", "format=auto&width=9", "w=9", "w=9&redact=1,1,2,2"):
            wanted = interpreter.parse(query)
            assert wanted == parse(query)
            assert wanted is not None
            recipe = interpreter.resolve(wanted, of(), accept, None)
            assert recipe == resolve(wanted, of(), accept)


def test_refusals_are_not_remembered_as_answers():
    interpreter = Interpreter()
    for _ in range(2):
        with pytest.raises(Rejected):
            interpreter.parse("w=0")
    long = "w=5&text=" + "%41" * 190
    assert interpreter.parse(long) == parse(long)
