from __future__ import annotations

import resource
import subprocess
import sys
import zlib

import numpy as np
import pytest
from image_service.budget import fitting
from image_service.formats import FORMATS
from imagesystem.errors import Rejected
from PIL import Image, ImageCms

from services.image.tests.samples import (
    GREEN,
    RED,
    gradient,
    made,
    opened,
    psnr,
    quadrants,
    recipe_of,
    saved,
    shown,
)


def busy(width: int = 300, height: int = 200) -> Image.Image:
    """Detail that costs bytes."""
    values = np.random.default_rng(3).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("name", ["jpeg", "webp", "avif"])
def test_a_budget_is_met_with_the_best_quality_that_fits(name):
    whole = len(made(busy(), f"format={name}&q=90").data)
    budget = whole // 2
    data = made(busy(), f"format={name}&q=90&max_bytes={budget}").data
    assert len(data) <= budget
    reference = busy()
    worse = made(busy(), f"format={name}&q=10").data
    assert psnr(opened(data).convert("RGB"), reference) > psnr(
        opened(worse).convert("RGB"), reference
    )


def test_a_budget_that_holds_anyway_changes_nothing():
    assert made(busy(), "format=jpeg&max_bytes=10000000").data == made(busy(), "format=jpeg").data


@pytest.mark.parametrize("name", ["jpeg", "png", "webp"])
def test_a_budget_that_nothing_meets_says_how_small_it_becomes(name):
    with pytest.raises(Rejected) as caught:
        made(busy(), f"format={name}&max_bytes=100")
    error = caught.value
    assert (error.status, error.code, error.allowed) == (422, "max_bytes_exceeded", 100)
    assert isinstance(error.actual, int)
    assert error.actual > 100


def test_the_search_is_exact_and_short():
    asked: list[int] = []

    def encode(quality: int) -> bytes:
        asked.append(quality)
        return b"x" * (quality * 10)

    assert len(fitting(encode, 80, 333)) == 330
    assert len(asked) <= 8


def test_progressive_is_progressive():
    assert opened(made(busy(), "format=jpeg&progressive").data).info.get("progressive")
    assert not opened(made(busy(), "format=jpeg").data).info.get("progressive")


@pytest.mark.parametrize(("said", "layers"), [("4:4:4", 1), ("4:2:2", 2), ("4:2:0", 4)])
def test_subsampling(said, layers):
    picture = opened(made(busy(), f"format=jpeg&subsampling={said}").data)
    (_, across, down, _), *_ = picture.layer
    assert across * down == layers
    full, half = (
        len(made(busy(), f"format=avif&subsampling={each}").data) for each in ("4:4:4", "4:2:0")
    )
    assert full > half


def test_lossless_loses_nothing():
    assert psnr(shown(busy(), "format=webp&lossless"), busy()) == float("inf")
    assert psnr(shown(busy(), "format=webp&q=90"), busy()) < 60
    assert recipe_of(saved(busy()), "format=png&lossless") == recipe_of(saved(busy()), "format=png")


@pytest.mark.parametrize("name", ["jpeg", "avif"])
def test_formats_that_always_lose_cannot_be_lossless(name):
    with pytest.raises(Rejected) as caught:
        made(busy(), f"format={name}&lossless")
    assert (caught.value.status, caught.value.code) == (400, "conflicting_parameters")
    assert "webp" in str(caught.value.allowed)


def test_auto_and_lossless_take_what_can_be():
    source = saved(busy(), "JPEG")
    query, accept = "format=auto&lossless", "image/avif,image/webp"
    assert recipe_of(source, query, accept).format == "webp"
    assert recipe_of(source, query, "*/*").format == "png"


@pytest.mark.parametrize("name", ["png", "gif"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_palettes(name, mode):
    picture = busy().convert(mode)
    if mode == "RGBA":
        picture.paste((0, 0, 0, 0), (0, 0, 50, 50))
    made_ = opened(made(picture, f"format={name}&palette=16").data)
    assert made_.mode == "P"
    assert len(made_.convert("RGBA").getcolors(1000)) <= 17
    if mode == "RGBA":
        assert made_.convert("RGBA").getpixel((5, 5))[3] == 0
    small, large = (
        len(made(picture, query).data) for query in ("format=png&palette=16", "format=png")
    )
    assert small < large / 2


def test_copyright_is_kept_on_demand_and_nothing_else():
    exif = Image.Exif()
    # As cameras write them (UTF-8, or Latin-1), and as Pillow reads them: byte by byte.
    mine, ada = "© Ada".encode(), "Adä".encode("latin-1")
    exif[0x8298], exif[0x013B] = mine, ada
    exif[0x010F] = "PRIVATE camera"
    exif.get_ifd(0x8825)[1] = "N"
    exif[0x0112] = 6
    source = saved(quadrants(), "JPEG", exif=exif, comment=b"PRIVATE")
    for name in ("jpeg", "png", "webp", "avif", "tiff"):
        data = made(source, f"format={name}&w=20&keep=copyright").data
        kept = opened(data).getexif()
        assert kept[0x8298].encode("latin-1") == mine
        assert kept[0x013B].encode("latin-1") == ada
        assert b"PRIVATE" not in data
        assert 0x0112 not in kept or kept[0x0112] == 1
        assert 0x8825 not in kept
        assert not opened(made(source, f"format={name}&w=20").data).getexif().get(0x013B)


def _swapped() -> bytes:
    """A profile that calls green what sRGB calls red, and the other way round."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = bytearray(profile)
    entries = range(132, 132 + 12 * profile[131], 12)
    places = {profile[at : at + 4]: at for at in entries}
    red, green = places[b"rXYZ"], places[b"gXYZ"]
    swapped[red + 4 : red + 12] = profile[green + 4 : green + 12]
    swapped[green + 4 : green + 12] = profile[red + 4 : red + 12]
    # its description must not say sRGB
    return (
        bytes(swapped).replace(b"s\x00R\x00G\x00B", b"x\x00x\x00x\x00x").replace(b"sRGB", b"xxxx")
    )


def test_a_profile_is_kept_on_demand_with_the_numbers_it_belongs_to():
    profile = _swapped()
    source = saved(Image.new("RGB", (40, 30), RED), icc_profile=profile)
    kept = opened(made(source, "w=20&keep=profile").data)
    assert kept.info["icc_profile"] == profile
    assert kept.convert("RGB").getpixel((5, 5)) == RED
    converted = opened(made(source, "w=20").data)
    assert "icc_profile" not in converted.info
    assert (
        converted.convert("RGB").getpixel((5, 5))[1] > converted.convert("RGB").getpixel((5, 5))[0]
    )
    # where there is no place for it, the colours are converted
    red, green, _ = (
        opened(made(source, "w=20&keep=profile&format=gif").data).convert("RGB").getpixel((5, 5))
    )
    assert green > red
    frames = [Image.new("RGB", (40, 30), colour) for colour in (RED, GREEN)]
    moving = saved(
        frames[0],
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        lossless=True,
        duration=100,
        icc_profile=profile,
    )
    for name in ("webp", "png", "avif"):
        kept = opened(made(moving, f"w=20&keep=profile&animate&format={name}&q=95").data)
        assert (kept.n_frames, kept.info["icc_profile"]) == (2, profile)
        assert np.abs(np.subtract(kept.convert("RGB").getpixel((5, 5)), RED)).max() < 12
    # CMYK cannot stay what it is: nothing to keep
    cmyk = saved(Image.new("CMYK", (40, 30)), "JPEG", icc_profile=profile)
    assert "icc_profile" not in opened(made(cmyk, "w=20&keep=profile&format=png").data).info


@pytest.mark.parametrize("mode", ["CMYK", "L", "LA", "P", "RGBA", "I;16"])
def test_every_colour_goes_through_every_step(mode):
    if mode == "I;16":
        picture = Image.fromarray(np.full((64, 96), 40_000, np.uint16))
    else:
        picture = gradient().quantize(32) if mode == "P" else gradient().convert(mode)
    source = saved(picture, "TIFF" if mode == "CMYK" else "PNG")
    query = (
        "crop=5,5,80,50&rotate=11&w=60&h=60&fit=contain&bg=blur&sepia=50&blur=1&round=5&text=x"
        "&redact=10,10,20,20&trim"
    )
    for name in FORMATS:
        assert shown(source, f"{query}&format={name}").size == (60, 60)


def test_green_stays_green_in_every_format():
    for name in FORMATS:
        found = shown(Image.new("RGB", (40, 40), GREEN), f"format={name}&q=95").convert("RGB")
        assert np.abs(np.subtract(found.getpixel((20, 20)), GREEN)).max() < 8


BOMB = """
import resource, sys
from image_service.decoding import prepare
from image_service.limits import Limits
from image_service.parameters import parse, resolve, Source
from image_service.renditions import render
prepare(100_000_000)
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
source = Source(media_type="image/png", width=30_000, height=30_000)
limits = Limits(max_pixels=100_000_000, max_output_pixels=40_000_000)
from imagesystem.errors import Rejected, Transient
try:
    render(sys.stdin.buffer.read(), resolve(parse(sys.argv[2]), source), limits)
except (Rejected, Transient) as error:
    print(error.code)
"""


def _bomb(width: int, height: int, rows: int) -> bytes:
    """A few kilobytes of PNG that are so many pixels (and hold so many rows of them)."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(kind + body).to_bytes(4, "big")
        return len(body).to_bytes(4, "big") + kind + body + crc

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    packer = zlib.compressobj(9)
    pixels = b"".join(packer.compress(bytes(1 + 3 * width)) for _ in range(rows)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*part) for part in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    )


@pytest.mark.parametrize(
    ("size", "query", "code"),
    [
        ((30_000, 30_000, 2), "w=100", "too_many_pixels"),
        ((9_000, 9_000, 9_000), "w=100&blur=5&rotate=10&trim", "out_of_memory"),
    ],
)
def test_a_bomb_is_refused_within_its_memory(size, query, code):
    """With 1 GiB of address space: what is too large is refused, what does not fit gives up."""
    done = subprocess.run(
        [sys.executable, "-c", BOMB, str(1 << 30), query],
        input=_bomb(*size),
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.decode().strip() == code
    assert resource.getrlimit(resource.RLIMIT_AS)[0] != 1 << 30
