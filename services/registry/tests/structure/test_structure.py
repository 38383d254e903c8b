"""What is accepted, what is refused and why, for every format."""

from __future__ import annotations

import io

import pytest
from imagesystem.errors import Rejected
from PIL import Image
from registry_service.pictures import inspect
from registry_service.structure import Limits, Source, Structure, check

Samples = dict[str, bytes]
MEDIA_TYPES = {"apng": "image/png"}


def checked(data: bytes, **limits: int) -> Structure:
    return check(Source(io.BytesIO(data)), Limits(**limits))[1]


def refusal(data: bytes, **limits: int) -> Rejected:
    with pytest.raises(Rejected) as caught:
        checked(data, **limits)
    return caught.value


def test_accepts_and_measures_every_sample(sample: tuple[str, bytes]) -> None:
    name, data = sample
    found = checked(data)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        frames = getattr(image, "n_frames", 1)
    form = name.partition("-")[0]
    expected = (4, 2) if name == "tiff-motorola" else (61, 43)
    assert found.media_type == MEDIA_TYPES.get(form, f"image/{form}")
    assert (found.width, found.height, found.frames) == (*expected, frames)


def test_finds_every_cut_near_the_end(sample: tuple[str, bytes]) -> None:
    _, data = sample
    for cut in range(1, min(200, len(data) - 40)):
        error = refusal(data[:-cut])
        assert error.status == 422, cut
        assert error.code in ("truncated_image", "corrupt_image"), cut


def test_what_follows_the_picture_is_ignored(samples: Samples) -> None:
    motion_photo = samples["jpeg-exif"] + samples["jpeg"] + b"\0\0\0\x18ftypmp42" + bytes(4000)
    assert checked(motion_photo).width == 61
    for name in ("png", "gif", "webp", "tiff", "bmp"):
        assert checked(samples[name] + b"left over").width == 61


def test_a_picture_with_others_behind_it_is_one_picture() -> None:
    out = io.BytesIO()
    image = Image.new("RGB", (40, 30), "teal")
    image.save(out, "MPO", save_all=True, append_images=[image.resize((20, 15))])
    data = out.getvalue()
    first = data.index(b"\xff\xd9") + 2
    for cut in (0, 1, 100, len(data) - first):
        found = inspect(io.BytesIO(data[: len(data) - cut]), Limits())
        assert (found.media_type, found.width, found.frames) == ("image/jpeg", 40, 1)
    assert refusal(data[: first - 1]).code == "truncated_image"


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n",
        b"this is a text named .jpg\n",
        b"BM I am a text about the British Museum",
        b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        b"\0\0\0\x0cjP  \r\n\x87\n",
        b"RIFF\x10\0\0\0WAVEfmt ",
        bytes(5000),
        b"\xff\xd8",
    ],
)
def test_other_content_is_an_unsupported_media_type(data: bytes) -> None:
    error = refusal(data)
    assert (error.status, error.code) == (415, "unsupported_media_type")


def test_pixels_are_limited_by_the_header_alone(sample: tuple[str, bytes]) -> None:
    _, data = sample
    error = refusal(data, max_pixels=7)
    assert (error.status, error.code, error.limit) == (422, "too_many_pixels", "MAX_PIXELS")
    assert (error.allowed, error.actual) == (7, 8 if len(data) == 130 else 61 * 43)


@pytest.mark.parametrize(
    "name", ["apng", "webp-animated", "avif-animated", "gif-animated", "tiff-pages"]
)
def test_frames_are_limited(samples: Samples, name: str) -> None:
    assert checked(samples[name], max_frames=3).frames == 3
    error = refusal(samples[name], max_frames=2)
    assert (error.status, error.code, error.limit) == (422, "too_many_frames", "MAX_FRAMES")
    assert (error.allowed, error.actual) == (2, 3)


def test_the_source_never_holds_more_than_a_block() -> None:
    class Watched(io.BytesIO):
        largest = 0

        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            assert size >= 0
            self.largest = max(self.largest, size)
            return super().read(size)

    noise = Image.effect_noise((2000, 1500), 200).convert("RGB")
    for form in ("PNG", "JPEG", "GIF", "BMP", "TIFF"):
        file = Watched()
        noise.save(file, form)
        file.largest = 0
        check(Source(file), Limits())
        assert file.tell() > 0
        assert file.largest <= 1024 * 1024
