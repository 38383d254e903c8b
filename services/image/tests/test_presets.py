from __future__ import annotations

import pytest
from image_service.parameters import Wanted, parse
from image_service.presets import Presets, load
from imagesystem.errors import Rejected

TABLE = load("thumb=width=160&height=160&fit=cover; grey = grayscale&quality=60")


def expanded(query: str, *, only: bool = False) -> Wanted:
    wanted = parse(query)
    assert wanted is not None
    return Presets(table=TABLE, only=only).expanded(wanted)


@pytest.mark.parametrize(
    ("query", "same"),
    [
        ("preset=thumb", "width=160&height=160&fit=cover"),
        ("p=thumb", "width=160&height=160&fit=cover"),
        ("preset=thumb,grey", "width=160&height=160&fit=cover&grayscale&quality=60"),
        ("preset=thumb&width=80", "width=80&height=160&fit=cover"),
        ("width=80", "width=80"),
    ],
)
def test_presets_stand_for_their_parameters(query, same):
    assert expanded(query) == parse(same)


@pytest.mark.parametrize(
    ("query", "only", "code"),
    [
        ("preset=nothing", False, "unknown_preset"),
        ("preset=thumb,,grey", False, "unknown_preset"),
        ("preset=thumb&width=80", True, "presets_only"),
        ("width=80", True, "presets_only"),
    ],
)
def test_what_presets_refuse(query, only, code):
    with pytest.raises(Rejected) as caught:
        expanded(query, only=only)
    assert (caught.value.status, caught.value.code) == (400, code)
    assert "thumb" in str(caught.value.allowed)


def test_presets_alone_can_be_asked_for():
    assert expanded("preset=grey", only=True) == parse("grayscale&quality=60")
    assert expanded("p=grey&f=png", only=True) == parse("grayscale&quality=60&format=png")


def test_a_file_of_presets(tmp_path):
    path = tmp_path / "presets.toml"
    path.write_text(
        'thumb = "width=160&fit=cover"\n[hero]\nwidth = 1600\nformat = "auto"\nenlarge = true\n'
    )
    presets = load(str(path))
    assert presets["thumb"] == {"width": 160, "fit": "cover"}
    assert presets["hero"] == {"width": 1600, "format": "auto", "enlarge": True}


@pytest.mark.parametrize(
    "text",
    ["a=width=0", "a=preset=b", "a=width=5;a=width=6", "a b=width=5", "a=", "a", "=width=5"],
)
def test_presets_that_cannot_be(text):
    with pytest.raises(ValueError, match=r"."):
        load(text)
