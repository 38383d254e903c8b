"""EXIF: what cameras write is understood, what nobody can understand is left out."""

from __future__ import annotations

import io
import math
import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagesystem.errors import Rejected
from imagesystem.events import Exif, Gps
from PIL import Image
from registry_service import exif
from registry_service.pictures import inspect
from registry_service.structure import Limits

Samples = dict[str, bytes]

CAMERA = Exif(
    orientation=6,
    make="Maker",
    model="Model X",
    lens="Lens 50mm",
    taken_at="2024-05-01T12:30:45+02:00",
    exposure_s=0.02,
    f_number=2.8,
    iso=200,
    focal_length_mm=50.0,
    gps=Gps(latitude=-33.8583333, longitude=151.21, altitude=58.5),
)


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "avif", "tiff"])
def test_every_container_carries_it(samples: Samples, name: str) -> None:
    assert inspect(io.BytesIO(samples[f"{name}-exif"]), Limits()).exif == CAMERA


def test_pictures_without_it_have_none(samples: Samples) -> None:
    assert inspect(io.BytesIO(samples["jpeg"]), Limits()).exif is None


def directory(*fields: tuple[int, int, int, bytes]) -> bytes:
    """A little-endian directory; values over four bytes are put behind it."""
    tail_at, entries, tail = 8 + 2 + 12 * len(fields) + 4, b"", b""
    for tag, kind, count, value in fields:
        if len(value) > 4:
            entries += struct.pack("<HHII", tag, kind, count, tail_at + len(tail))
            tail += value
        else:
            entries += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(fields)) + entries + bytes(4) + tail


def test_texts_are_cleaned() -> None:
    data = directory(
        (0x010F, 2, 12, b"  \x07Canon\0junk"),
        (0x0110, 2, 7, "Möde".encode() + b"\0\0"),
        (0x0131, 2, 5, b"caf\xe9\0"),
        (0x013B, 2, 3000, b"x" * 3000),
        (0x8298, 7, 5, b"bytes"),
    )
    found = exif.read_bytes(b"Exif\0\0" + data)
    assert found is not None
    assert (found.make, found.model, found.software) == ("Canon", "Möde", "café")
    assert found.artist == "x" * 256
    assert found.copyright is None


@pytest.mark.parametrize("orientation", [0, 9, 255, 65535])
def test_an_orientation_that_does_not_exist_is_upright(orientation: int) -> None:
    data = directory((0x0112, 3, 1, struct.pack("<H", orientation)), (0x010F, 2, 4, b"abc\0"))
    found = exif.read_bytes(data)
    assert found is not None
    assert found.orientation == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Exif\0\0",
        b"MM\0*",
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff",
        b"not exif at all",
        directory((0x8769, 4, 1, b"\xff\xff\xff\xff"), (0x8825, 4, 1, struct.pack("<I", 8))),
    ],
)
def test_nonsense_is_nothing(data: bytes) -> None:
    assert exif.read_bytes(data) is None


def gps(latitude: bytes, longitude: bytes) -> bytes:
    """A directory that is its own GPS directory: the pointer leads back to it."""
    return directory(
        (1, 2, 2, b"N\0"), (2, 5, 3, latitude), (3, 2, 2, b"W\0"), (4, 5, 3, longitude),
        (0x8825, 4, 1, struct.pack("<I", 8)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((10, 1, 30, 1, 0, 1), 10.5),
        ((91, 1, 0, 1, 0, 1), None),
        ((10, 0, 30, 1, 0, 1), None),
        ((0, 0, 0, 0, 0, 0), None),
        ((4294967295, 1, 0, 1, 0, 1), None),
    ],
)
def test_places_that_cannot_be_are_left_out(
    numbers: tuple[int, ...], expected: float | None
) -> None:
    packed = struct.pack("<6I", *numbers)
    found = exif.read_bytes(gps(packed, packed))
    assert (found and found.gps) == (
        None if expected is None else Gps(latitude=expected, longitude=-expected)
    )


@given(st.binary(max_size=600))
def test_any_bytes_are_read(data: bytes) -> None:
    for head in (b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"Exif\0\0MM\0*\0\0\0\x08"):
        check_numbers(exif.read_bytes(head + data))


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 255)), max_size=12))
def test_flipped_exif_is_read(flips: list[tuple[int, int]]) -> None:
    out = io.BytesIO()
    image, written = Image.new("RGB", (1, 1)), Image.Exif()
    written[0x8769] = {0x829A: 0.5, 0x9003: "2024:05:01 12:30:45"}
    written[0x8825] = {1: "N", 2: (1.0, 2.0, 3.0), 3: "E", 4: (1.0, 2.0, 3.0), 6: 10.0}
    image.save(out, "JPEG", exif=written)
    data = bytearray(written.tobytes())
    for at, value in flips:
        data[at % len(data)] = value
    check_numbers(exif.read_bytes(bytes(data)))


def check_numbers(found: Exif | None) -> None:
    if found is None:
        return
    assert msgspec.json.decode(msgspec.json.encode(found), type=Exif) == found
    numbers = [found.exposure_s, found.f_number, found.focal_length_mm]
    if found.gps:
        numbers += [found.gps.latitude, found.gps.longitude, found.gps.altitude]
    assert all(math.isfinite(number) for number in numbers if number is not None)


def test_fields_that_multiply_each_other_are_refused() -> None:
    count = 4000
    entries = b"".join(struct.pack("<HHII", 40_000 + n, 7, 50_000, 8) for n in range(count))
    bomb = b"II*\0\x08\0\0\0" + struct.pack("<H", count) + entries + bytes(5000)
    assert exif.is_hostile(b"Exif\0\0" + bomb)
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "PNG", exif=bomb)
    with pytest.raises(Rejected, match="overlap"):
        inspect(out, Limits())
