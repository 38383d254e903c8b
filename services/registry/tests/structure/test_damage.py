"""Damage that a cut does not make: contradictions, loops, and files made to cost time."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import pytest
from imagesystem.errors import Rejected
from registry_service.structure import Limits, Source, Structure, check

Samples = dict[str, bytes]


def checked(data: bytes) -> Structure:
    return check(Source(io.BytesIO(data)), Limits())[1]


def refused(data: bytes, code: str = "corrupt_image") -> str:
    with pytest.raises(Rejected) as caught:
        checked(data)
    assert (caught.value.status, caught.value.code) == (422, code)
    return caught.value.message


def chunk(kind: bytes, data: bytes) -> bytes:
    crc = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def png(*chunks: bytes, width: int = 1, height: int = 1) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
        for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tiff(*fields: tuple[int, int, int, int], following: int = 0) -> bytes:
    entries = b"".join(struct.pack("<HHII", *field) for field in fields)
    return (
        b"II*\0\x08\0\0\0" + struct.pack("<H", len(fields)) + entries + struct.pack("<I", following)
    )


def test_a_huge_png_header_is_refused_before_anything_else() -> None:
    with pytest.raises(Rejected) as caught:
        checked(png(width=50_000, height=50_000)[:33])
    assert caught.value.code == "too_many_pixels"
    assert caught.value.actual == 2_500_000_000


def test_every_byte_of_a_png_counts(samples: Samples) -> None:
    data = bytearray(samples["png"])
    for at in range(8, len(data)):
        data[at] ^= 0x40
        with pytest.raises(Rejected):
            checked(bytes(data))
        data[at] ^= 0x40


PNG_DAMAGE: dict[str, bytes] = {
    "no picture data": png(),
    "it declares 9 frames and has 0": png(
        chunk(b"acTL", struct.pack(">II", 9, 0)), chunk(b"IDAT", b"x")
    ),
    "a frame lies outside": png(
        chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 9, 9, 0, 0, 1, 1, 0, 0)), chunk(b"IDAT", b"x")
    ),
    "IHDR declares no valid size": png(chunk(b"IDAT", b"x"), width=0),
    "is no chunk": png(chunk(b"I\x00AT", b"x")),
}


@pytest.mark.parametrize("message", PNG_DAMAGE)
def test_damaged_png(message: str) -> None:
    assert message in refused(PNG_DAMAGE[message])


JPEG_DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "two frame headers": (lambda d: d.replace(frame_of(d), frame_of(d) * 2, 1), "corrupt_image"),
    "no marker at byte": (lambda d: d.replace(b"\xff\xdb", b"junk\xff\xdb", 1), "corrupt_image"),
    "a scan without a frame header": (lambda d: d.replace(frame_of(d), b"", 1), "corrupt_image"),
    "12 bits is not supported": (
        lambda d: d.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"),
        "corrupt_image",
    ),
    "no end-of-image": (lambda d: d[:-2] + b"\xff\0", "truncated_image"),
    "too many fill bytes": (lambda d: d[:2] + b"\xff" * 100_000 + d[2:], "corrupt_image"),
    "too many segments": (lambda d: d[:2] + b"\xff\xfe\0\2" * 30_000 + d[2:], "corrupt_image"),
    "has no picture data": (lambda d: d[: d.index(b"\xff\xda")] + b"\xff\xd9", "corrupt_image"),
}


def frame_of(jpeg: bytes) -> bytes:
    start = jpeg.index(b"\xff\xc0")
    return jpeg[start : start + 19]


@pytest.mark.parametrize("message", JPEG_DAMAGE)
def test_damaged_jpeg(samples: Samples, message: str) -> None:
    damage, code = JPEG_DAMAGE[message]
    assert message in refused(damage(samples["jpeg"]), code)


def test_jpeg_fill_bytes_and_stuffing_are_no_damage(samples: Samples) -> None:
    data = samples["jpeg"]
    assert checked(data[:2] + b"\xff\xff" + data[2:]).width == 61
    # stuffed bytes and markers everywhere, also where one read ends and the next begins
    for length in (65_500, 65_536, 131_072):
        for shift in range(4):
            stuffing = bytes(shift) + b"\xff\0" * length
            assert checked(data[:-2] + stuffing + data[-2:]).width == 61
            refused(data[:-2] + stuffing, "truncated_image")


def test_damaged_gif(samples: Samples) -> None:
    data = samples["gif"]
    assert "no block at byte" in refused(data[:-1] + b"\x99")
    assert "no picture data" in refused(data[:13] + bytes(3 << ((data[10] & 7) + 1)) + b"\x3b")
    refused(data[:-1] + b"\x21\xfe\0" * 200_000 + b"\x3b")


VP8L = b"\x2f" + bytes(4) + b"payload"


@pytest.mark.parametrize(
    "data",
    [
        riff((b"ALPH", bytes(20)), (b"VP8L", VP8L)),
        riff((b"VP8X", bytes(10))),
        riff((b"VP8X", b"\2" + bytes(9))),
        riff((b"VP8X", bytes(10)), (b"VP8L", VP8L), (b"VP8L", VP8L)),
        riff((b"VP8X", bytes(4) + b"\x09\0\0\x09\0\0"), (b"VP8L", VP8L)),
        riff((b"VP8X", b"\2" + bytes(9)), (b"ANMF", b"\1" + bytes(15))),
        riff((b"VP8L", b"\x2e" + bytes(8))),
        riff((b"VP8 ", bytes(30))),
        riff((b"VP8X", bytes(10)), *[(b"JUNK", b"")] * 20_000),
    ],
)
def test_damaged_webp(data: bytes) -> None:
    refused(data)


def test_a_webp_whose_chunk_lies_about_its_length(samples: Samples) -> None:
    data = bytearray(samples["webp"])
    data[16] ^= 0x10  # the chunk claims more or less than RIFF has
    refused(bytes(data), "truncated_image")


PAGE = [(0x100, 4, 1, 2), (0x101, 4, 1, 2), (0x102, 3, 1, 8), (0x103, 3, 1, 1), (0x111, 4, 1, 8)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (tiff(*PAGE, (0x117, 4, 1, 4), following=8), "loop"),
        (tiff(*PAGE, (0x117, 4, 1, 4), (0x14A, 4, 1, 8)), "loop"),
        (tiff(*PAGE[:4], (0x117, 4, 1, 4)), "without picture data"),
        (tiff(*PAGE, (0x117, 4, 2, 8)), "offsets as lengths"),
        (tiff(*PAGE[1:], (0x117, 4, 1, 4)), "no size"),
        (tiff(*PAGE, (0x117, 4, 1, 4), *((n, 1, 80, 8) for n in range(900, 909))), "overlap"),
        (b"II*\0" + bytes(8), "no pages"),
    ],
)
def test_damaged_tiff(data: bytes, message: str) -> None:
    assert message in refused(data)


def test_a_tiff_that_points_outside_is_cut() -> None:
    refused(tiff(*PAGE, (0x117, 4, 1, 4000)), "truncated_image")
    refused(tiff(*PAGE, (0x117, 4, 1, 4), (0x10E, 2, 5000, 8)), "truncated_image")
    refused(tiff(*PAGE, (0x117, 4, 1, 4), following=9999), "truncated_image")


@pytest.mark.parametrize(
    ("at", "value"), [(14, 41), (18, 0), (22, 0), (26, 2), (28, 7), (30, 4), (10, 20)]
)
def test_damaged_bmp(samples: Samples, at: int, value: int) -> None:
    data = bytearray(samples["bmp"])
    data[at : at + 2] = struct.pack("<H", value)
    with pytest.raises(Rejected):
        checked(bytes(data))


def test_a_bitmap_from_the_top_is_no_damage(samples: Samples) -> None:
    data = bytearray(samples["bmp"])
    data[22:26] = struct.pack("<i", -43)
    assert checked(bytes(data)).height == 43


def test_damaged_avif(samples: Samples) -> None:
    data = samples["avif"]
    for name in (b"pitm", b"iloc", b"iinf", b"iprp", b"ipco", b"ipma", b"ispe"):
        assert name in data
        refused(data.replace(name, b"gone", 1))
    animated = samples["avif-animated"]
    for name in (b"trak", b"mdia", b"hdlr", b"minf", b"stbl", b"stsz", b"stsc", b"stco"):
        at = animated.index(name, animated.index(b"moov"))
        refused(animated[:at] + b"gone" + animated[at + 4 :])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_says_its_orientation_itself(orientation: int) -> None:
    from PIL import Image  # noqa: PLC0415

    exif, out = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.new("RGB", (20, 10)).save(out, "AVIF", exif=exif)
    assert checked(out.getvalue()).orientation == orientation
