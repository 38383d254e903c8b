from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_service.filenames import disposition, renamed


@pytest.mark.parametrize(
    ("filename", "header"),
    [
        ("photo.jpg", 'inline; filename="photo.jpg"'),
        ("my photo (1).jpg", 'inline; filename="my photo (1).jpg"'),
        ("a;b.jpg", 'inline; filename="a;b.jpg"'),
        ('a"b\\c.jpg', 'inline; filename="a_b_c.jpg"'),
        ("../../etc/passwd", 'inline; filename="_.._etc_passwd"'),
        ("a\r\nSet-Cookie: x=1.jpg", 'inline; filename="aSet-Cookie_ x=1.jpg"'),
        ("Füße.png", "inline; filename=\"Fu_e.png\"; filename*=UTF-8''F%C3%BC%C3%9Fe.png"),
        ("写真.png", "inline; filename=\"__.png\"; filename*=UTF-8''%E5%86%99%E7%9C%9F.png"),
        ("50%41.png", "inline; filename=\"50_41.png\"; filename*=UTF-8''50%2541.png"),
        ("", 'inline; filename="image"'),
        ("...", 'inline; filename="image"'),
        ("\x00\x7f", 'inline; filename="image"'),
        ("\ud800.png", 'inline; filename="png"'),
    ],
)
def test_disposition(filename, header):
    assert disposition(filename) == header


def test_ten_kilobytes_become_a_short_name_with_its_extension():
    header = disposition("x" * 10_000 + ".jpeg")
    assert header == f'inline; filename="{"x" * 145}.jpeg"'


@given(st.text(max_size=300))
def test_any_name_is_one_well_formed_ascii_line(filename):
    header = disposition(filename)
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
    assert len(header) < 2500


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("photo.png", "photo.webp"),
        ("photo", "photo.webp"),
        ("a.b.tiff", "a.b.webp"),
        ("holiday 2. of all days", "holiday 2. of all days.webp"),
        (".png", ".png.webp"),
    ],
)
def test_renamed(filename, name):
    assert renamed(filename, "webp") == name
