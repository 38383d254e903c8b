from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from registry_service.filenames import MAX_BYTES, clean


@pytest.mark.parametrize(
    ("given_name", "cleaned"),
    [
        ("photo.jpg", "photo.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\photo.jpg", "photo.jpg"),
        ("/", "upload"),
        ("", "upload"),
        ("..", "upload"),
        ("...", "upload"),
        ('a "quoted"; name.png', 'a "quoted"; name.png'),
        ("tab\tnewline\r\nnull\0.png", "tab newline null .png"),
        ("e\u0301te\u0301.jpg", "été.jpg"),
        ("evil\u202egpj.exe", "evil gpj.exe"),
        ("日本語.webp", "日本語.webp"),
        ("lone\ud800surrogate.gif", "lone?surrogate.gif"),
        ("  spaces   everywhere .bmp ", "spaces everywhere .bmp"),
    ],
)
def test_what_becomes_of_names(given_name: str, cleaned: str) -> None:
    assert clean(given_name) == cleaned


def test_long_names_keep_their_extension() -> None:
    assert clean("x" * 10_000 + ".jpeg") == "x" * 250 + ".jpeg"
    assert clean("é" * 10_000 + ".png") == "é" * 125 + ".png"
    assert clean("x." + "y" * 10_000) == "x." + "y" * 253


@given(st.text(max_size=400))
def test_any_text_becomes_a_name(name: str) -> None:
    cleaned = clean(name)
    assert 0 < len(cleaned.encode()) <= MAX_BYTES
    assert not set(cleaned) & set("/\\\r\n\0")
    assert all(unicodedata.category(character)[0] != "C" for character in cleaned)
    assert clean(cleaned) == cleaned
