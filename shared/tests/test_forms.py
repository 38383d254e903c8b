"""Forms as browsers, curl and attackers write them, in pieces of any size."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagesystem.errors import Rejected
from imagesystem.forms import Part, boundary_of, decode, read

FORM = b"multipart/form-data; boundary=xyz"


def part(disposition: bytes, body: bytes = b"data") -> bytes:
    return b"--xyz\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + body + b"\r\n"


async def parts(pieces: Sequence[bytes], max_parts: int = 10) -> list[tuple[Part, bytes]]:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    found: list[tuple[Part, bytes]] = []
    async for item in read(body(), b"xyz", max_parts=max_parts):
        if isinstance(item, Part):
            found.append((item, b""))
        else:
            found[-1] = (found[-1][0], found[-1][1] + item)
    return found


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        (b'form-data; name="file"; filename="a.jpg"', "a.jpg"),
        (b"form-data; name=file; filename=a.jpg", "a.jpg"),
        (b'form-data; filename="a.jpg"; name="file"', "a.jpg"),
        (b'FORM-DATA;NAME="file";FILENAME="a.jpg"', "a.jpg"),
        (b'form-data; name="file"; filename="a \\"b\\"; c.jpg"', 'a "b"; c.jpg'),
        (b'form-data; name="file"; filename="a %22b%22.jpg"', 'a "b".jpg'),
        (b'form-data; name="file"; filename="C:\\dir\\a.jpg"', "C:\\dir\\a.jpg"),
        (b'form-data; name="file"; filename=""', ""),
        (b'form-data; name="file"', None),
        ('form-data; name="file"; filename="été.jpg"'.encode(), "été.jpg"),
        (b'form-data; name="file"; filename="\xe9t\xe9.jpg"', "été.jpg"),
        (b"form-data; name=file; filename=x; filename*=UTF-8''%e2%82%ac%20r.jpg", "€ r.jpg"),
        (b"form-data; name=file; filename*=iso-8859-1'en'%A3.jpg; filename=x", "£.jpg"),
        (b"form-data; name=file; filename*=UTF-8''%ff%fe.jpg", "ÿþ.jpg"),
        (b'form-data; name="file"; filename="open', "open"),
    ],
)
async def test_names_and_filenames(disposition: bytes, filename: str | None) -> None:
    form = part(disposition) + b"--xyz--\r\n"
    assert await parts([form]) == [(Part("file", filename), b"data")]


def test_bytes_that_are_no_utf8_are_latin_1() -> None:
    assert decode(b"caf\xe9.jpg") == "café.jpg"
    assert decode("café.jpg".encode()) == "café.jpg"


async def test_a_filename_of_ten_kilobytes_is_read() -> None:
    name = b"x" * 10_000
    [(head, _)] = await parts([part(b"form-data; name=f; filename=" + name) + b"--xyz--"])
    assert head.filename == name.decode()


@pytest.mark.parametrize(
    "filename",
    [
        b'\\";a="' * 9000,
        b'";a="' * 9000,
        b";" * 60_000,
        b" " * 60_000,
        b"\\" * 60_001,
        b";a=" * 9000,
    ],
)
async def test_headers_made_to_cost_time_are_read_in_one_pass(filename: bytes) -> None:
    form = part(b'form-data; name=f; filename="' + filename) + b"--xyz--"
    [(head, _)] = await parts([form])
    assert head.name == "f"


@given(
    bodies=st.lists(
        st.binary(max_size=60).map(lambda b: b.replace(b"\r\n--xyz", b""))
        | st.sampled_from([b"", b"\r\n", b"\r\n--xy", b"\r\n--xy\r\n--xyyz", b"--xyz", b"\r" * 9]),
        min_size=1,
        max_size=4,
    ),
    size=st.integers(1, 80),
)
async def test_pieces_of_any_size_make_the_same_form(bodies: list[bytes], size: int) -> None:
    form = b"".join(part(b"form-data; name=f; filename=n", body) for body in bodies)
    form += b"--xyz--\r\n"
    pieces = [form[n : n + size] for n in range(0, len(form), size)]
    assert await parts(pieces) == [(Part("f", "n"), body) for body in bodies]


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"no boundary at all",
        b"--xyz",
        b"--xyz\r\n",
        b"--other\r\n",
        part(b'form-data; name="file"'),
        part(b'form-data; name="file"') + b"--xyz\r\n",
        part(b'form-data; filename="a"') + b"--xyz--",
        b"--xyz\r\n\r\nno head\r\n--xyz--",
        b"--xyz\r\nContent-Disposition form-data\r\n\r\n\r\n--xyz--",
        b"--xyz\r\n: x\r\n\r\n\r\n--xyz--",
        b"--xyz\r\n" + b"A: b\r\n" * 20 + b"\r\n\r\n--xyz--",
        b"--xyz\r\nA: " + b"b" * 70_000 + b"\r\n\r\n\r\n--xyz--",
        b"--xyz\r\n" + b"A" * 70_000,
    ],
)
async def test_malformed_forms(form: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        await parts([form])
    assert (caught.value.status, caught.value.code) == (400, "malformed_multipart")


@given(st.binary(max_size=300), st.integers(1, 50))
async def test_any_bytes_are_a_form_or_refused(data: bytes, size: int) -> None:
    for form in (data, b"--xyz\r\n" + data, part(data), part(b"form-data; name=f", data)):
        try:
            await parts([form[n : n + size] for n in range(0, len(form), size)])
        except Rejected as error:
            assert error.status in (400, 413)  # noqa: PT017  both outcomes are fine


async def test_too_many_parts() -> None:
    form = part(b"form-data; name=f") * 11 + b"--xyz--"
    with pytest.raises(Rejected) as caught:
        await parts([form])
    assert (caught.value.status, caught.value.code) == (413, "too_many_parts")


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=xyz", b"xyz"),
        ('Multipart/Form-Data; charset=utf-8; boundary="x y;z"', b"x y;z"),
        ("multipart/form-data;boundary=----WebKitFormBoundaryA1", b"----WebKitFormBoundaryA1"),
    ],
)
def test_boundaries(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("", 415),
        ("image/jpeg", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/mixed; boundary=x", 415),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=", 400),
        ("multipart/form-data; boundary=" + "x" * 71, 400),
    ],
)
def test_no_boundary(content_type: str, status: int) -> None:
    with pytest.raises(Rejected) as caught:
        boundary_of(content_type)
    assert caught.value.status == status
