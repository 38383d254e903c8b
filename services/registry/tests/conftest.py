"""Pictures of every format, made by Pillow."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from PIL import Image, TiffImagePlugin


def scene(width: int = 61, height: int = 43, shade: int = 0) -> Image.Image:
    """A picture with gradients and an edge, so that no encoder makes it trivial."""
    image = Image.merge(
        "RGB",
        [
            Image.linear_gradient("L").resize((width, height)),
            Image.radial_gradient("L").resize((width, height)),
            Image.new("L", (width, height), shade),
        ],
    )
    image.paste((200, 30, 60), (width // 3, height // 4, width // 2, height // 2))
    return image


def encode(form: str, image: Image.Image | None = None, **options: Any) -> bytes:
    out = io.BytesIO()
    (image or scene()).save(out, form, **options)
    return out.getvalue()


def camera_exif(orientation: int = 6) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Maker", "Model X", orientation
    exif[0x8769] = {
        0x829A: TiffImagePlugin.IFDRational(1, 50),
        0x829D: TiffImagePlugin.IFDRational(28, 10),
        0x8827: 200,
        0x9003: "2024:05:01 12:30:45",
        0x9011: "+02:00",
        0x920A: TiffImagePlugin.IFDRational(50, 1),
        0xA434: "Lens 50mm",
    }
    exif[0x8825] = {
        1: "S",
        2: (33.0, 51.0, 30.0),
        3: "E",
        4: (151.0, 12.0, 36.0),
        5: b"\x00",
        6: TiffImagePlugin.IFDRational(585, 10),
    }
    return exif


def big_endian_tiff() -> bytes:
    """A 4 x 2 grey TIFF in Motorola's byte order, its directory after its pixels."""
    fields = [
        (0x100, 3, 1, 4 << 16), (0x101, 3, 1, 2 << 16), (0x102, 3, 1, 8 << 16),
        (0x103, 3, 1, 1 << 16), (0x106, 3, 1, 1 << 16), (0x111, 4, 1, 8),
        (0x115, 3, 1, 1 << 16), (0x116, 3, 1, 2 << 16), (0x117, 4, 1, 8),
    ]  # fmt: skip
    entries = b"".join(struct.pack(">HHII", *field) for field in fields)
    directory = struct.pack(">H", len(fields)) + entries + struct.pack(">I", 0)
    return b"MM\0*" + struct.pack(">I", 16) + bytes(range(8)) + directory


def unpadded(data: bytes) -> bytes:
    """Pillow fills TIFF up to 16 bytes after the last page; nobody misses those."""
    return data.rstrip(b"\0") + b"\0"  # the last value is a small little-endian number


def make_samples() -> dict[str, bytes]:
    frames = [scene(shade=shade) for shade in (0, 120, 240)]
    several: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "duration": 80}
    first = frames[0]
    transparent = first.copy()
    transparent.putalpha(first.getchannel("R"))
    return {
        "jpeg": encode("JPEG"),
        "jpeg-grey": encode("JPEG", first.convert("L")),
        "jpeg-cmyk": encode("JPEG", first.convert("CMYK")),
        "jpeg-progressive": encode("JPEG", progressive=True),
        "jpeg-restarts": encode("JPEG", restart_marker_rows=1),
        "jpeg-exif": encode("JPEG", exif=camera_exif()),
        "png": encode("PNG"),
        "png-palette": encode("PNG", first.convert("P")),
        "png-16bit": encode("PNG", first.convert("I;16")),
        "png-exif": encode("PNG", exif=camera_exif()),
        "apng": encode("PNG", first, **several),
        "webp": encode("WEBP"),
        "webp-lossless": encode("WEBP", lossless=True),
        "webp-alpha": encode("WEBP", transparent),
        "webp-exif": encode("WEBP", exif=camera_exif()),
        "webp-animated": encode("WEBP", first, **several),
        "avif": encode("AVIF"),
        "avif-alpha": encode("AVIF", transparent),
        "avif-exif": encode("AVIF", exif=camera_exif()),
        "avif-animated": encode("AVIF", first, **several),
        "gif": encode("GIF"),
        "gif-animated": encode("GIF", first, **several),
        "bmp": encode("BMP"),
        "bmp-palette": encode("BMP", first.convert("P")),
        "bmp-1bit": encode("BMP", first.convert("1")),
        "tiff": encode("TIFF"),
        "tiff-lzw": encode("TIFF", compression="tiff_lzw"),
        "tiff-jpeg": encode("TIFF", compression="jpeg"),
        "tiff-exif": encode("TIFF", exif=camera_exif().tobytes()),
        "tiff-big": encode("TIFF", big_tiff=True),
        "tiff-pages": unpadded(encode("TIFF", first, compression="tiff_lzw", **several)),
        "tiff-motorola": big_endian_tiff(),
    }


SAMPLES = make_samples()


@pytest.fixture(scope="session")
def samples() -> dict[str, bytes]:
    """Every kind of picture that is accepted, by a name that begins with its format."""
    return SAMPLES


@pytest.fixture(params=sorted(SAMPLES))
def sample(request: pytest.FixtureRequest) -> tuple[str, bytes]:
    """Each of them in turn: its name and its bytes."""
    return request.param, SAMPLES[request.param]
