from __future__ import annotations

import io
from time import sleep
from time import time as clock

import pytest
from image_service.limits import Limits
from image_service.renditions import render
from imagesystem.errors import Rejected
from PIL import Image, ImageDraw, ImageSequence

from services.image.tests.samples import BLUE, GREEN, LIMITS, RED, made, opened, recipe_of, saved

COLOURS = (RED, GREEN, BLUE)
TIMES = [100, 200, 300]
ANIMATES = ("GIF", "WEBP", "AVIF", "PNG")


def animation(form: str, size=(60, 40), colours=COLOURS, **options) -> bytes:
    frames = [Image.new("RGB", size, colour) for colour in colours]
    if form in ("GIF", "WEBP", "PNG"):
        options.setdefault("loop", 0)
    return saved(
        frames[0],
        form,
        save_all=True,
        append_images=frames[1:],
        duration=TIMES[: len(frames)] if len(frames) <= 3 else 50,
        **options,
    )


def frames_of(data: bytes) -> list[tuple[Image.Image, int]]:
    picture = Image.open(io.BytesIO(data))
    found = []
    for frame in ImageSequence.Iterator(picture):
        frame.load()
        found.append((frame.convert("RGBA").copy(), frame.info.get("duration")))
    return found


def near(found, wanted) -> bool:
    return max(abs(a - b) for a, b in zip(found, wanted, strict=False)) < 30


@pytest.mark.parametrize("target", ["gif", "webp", "avif"])
@pytest.mark.parametrize("source", ANIMATES)
@pytest.mark.parametrize(
    "query", ["q=90", "w=30", "w=20&h=20&fit=cover", "rotate=90&w=20", "blur=1&w=30"]
)
def test_animations_stay_animated(source, target, query):
    data = animation(source)
    frames = frames_of(made(data, f"{query}&format={target}").data)
    assert len(frames) == 3
    for (frame, duration), colour, time in zip(frames, COLOURS, TIMES, strict=True):
        assert near(frame.getpixel((10, 10)), colour)
        assert duration == pytest.approx(time, abs=1)


def test_an_animated_png_stays_one_but_others_do_not_become_one():
    assert len(frames_of(made(animation("PNG"), "w=30").data)) == 3
    assert len(frames_of(made(animation("GIF"), "w=30&format=png").data)) == 1
    assert len(frames_of(made(animation("GIF"), "w=30&format=png&animate").data)) == 3


@pytest.mark.parametrize("source", ["GIF", "WEBP", "PNG"])
@pytest.mark.parametrize("loop", [0, 3])
def test_it_is_shown_as_often_as_before(source, loop):
    made_ = opened(made(animation(source, loop=loop), "w=30&format=webp").data)
    assert made_.info["loop"] == loop


def test_a_gif_that_plays_once_plays_once():
    frames = [Image.new("RGB", (30, 20), colour) for colour in COLOURS]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)
    assert "loop" not in opened(data).info
    assert "loop" not in opened(made(data, "w=15").data).info
    assert opened(made(data, "w=15&format=webp").data).info["loop"] == 1


@pytest.mark.parametrize("query", ["animate=false", "frame=0", "format=jpeg", "format=tiff"])
def test_one_frame_where_one_is_wanted(query):
    picture = opened(made(animation("GIF"), f"w=30&{query}").data)
    assert getattr(picture, "n_frames", 1) == 1
    assert near(picture.convert("RGB").getpixel((5, 5)), RED)


@pytest.mark.parametrize("source", [*ANIMATES, "TIFF"])
def test_a_frame_of_many(source):
    data = (
        animation(source)
        if source != "TIFF"
        else saved(
            Image.new("RGB", (60, 40), RED),
            "TIFF",
            save_all=True,
            append_images=[Image.new("RGB", (60, 40), colour) for colour in (GREEN, BLUE)],
        )
    )
    picture = opened(made(data, "frame=2&w=30&format=png").data)
    assert near(picture.convert("RGB").getpixel((5, 5)), BLUE)
    with pytest.raises(Rejected) as caught:
        made(data, "frame=3")
    assert (caught.value.status, caught.value.code, caught.value.allowed) == (
        422,
        "no_such_frame",
        2,
    )


def test_frames_of_a_gif_that_only_say_what_changed_are_whole():
    first = Image.new("RGB", (40, 40), RED)
    second = first.copy()
    second.paste(BLUE, (10, 10, 20, 20))
    data = saved(first, "GIF", save_all=True, append_images=[second], duration=100, loop=0)
    frame = frames_of(made(data, "w=20&format=webp&lossless").data)[1][0]
    assert near(frame.getpixel((1, 1)), RED)
    assert near(frame.getpixel((7, 7)), BLUE)


def test_transparent_animations():
    frames = []
    for x in (0, 20):
        frame = Image.new("RGBA", (40, 40))
        ImageDraw.Draw(frame).ellipse((x, 0, x + 19, 39), fill=(255, 0, 0, 255))
        frames.append(frame)
    data = saved(
        frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=100, lossless=True
    )
    for target in ("gif", "webp", "png"):
        found = frames_of(made(data, f"w=20&format={target}&animate").data)
        assert [found[0][0].getpixel((15, 10))[3], found[1][0].getpixel((5, 10))[3]] == [0, 0]
        assert near(found[1][0].getpixel((15, 10)), (255, 0, 0, 255))


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        (
            Limits(max_pixels=10**6, max_output_pixels=10**6, max_animation_frames=2),
            "MAX_ANIMATION_FRAMES",
        ),
        (
            Limits(max_pixels=10**6, max_output_pixels=10**6, max_animation_pixels=7000),
            "MAX_ANIMATION_PIXELS",
        ),
        (Limits(max_pixels=10**6, max_output_pixels=1500), "MAX_OUTPUT_PIXELS"),
    ],
)
def test_too_much_animation_is_refused_and_a_frame_of_it_is_not(limits, limit):
    data = animation("GIF")
    with pytest.raises(Rejected) as caught:
        render(data, recipe_of(data, "w=30"), limits)
    assert caught.value.limit == limit
    assert 400 <= caught.value.status <= 422
    assert render(data, recipe_of(data, "w=30&animate=false"), limits).width == 30


@pytest.mark.parametrize("source", ANIMATES)
def test_a_frame_behind_too_many_pixels_is_refused(source):
    """To show it, all before it are decoded: a small file could take minutes."""
    data = animation(source)
    limits = Limits(max_pixels=10**6, max_output_pixels=10**6, max_animation_pixels=5000)
    assert render(data, recipe_of(data, "frame=1&w=30&format=png"), limits).width == 30
    with pytest.raises(Rejected) as caught:
        render(data, recipe_of(data, "frame=2&w=30&format=png"), limits)
    error = caught.value
    assert (error.code, error.limit) == ("animation_too_large", "MAX_ANIMATION_PIXELS")
    assert (error.allowed, error.actual) == (5000, 7200)


def test_pages_stand_alone():
    pages = [Image.new("RGB", (60, 40), colour) for colour in COLOURS]
    data = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    limits = Limits(max_pixels=10**6, max_output_pixels=10**6, max_animation_pixels=1)
    assert render(data, recipe_of(data, "page=2&w=30&format=png"), limits).width == 30


def test_an_animation_made_later_is_the_same_bytes():
    """Its entity tag is: a range of one replica goes on where that of another ended."""
    data = animation("GIF")
    first, second = made(data, "format=avif").data, int(clock())
    while int(clock()) == second:  # AVIF would say the second in which it was written
        sleep(0.01)
    assert made(data, "format=avif").data == first
    assert opened(first).n_frames == 3


def test_trim_and_the_rest_are_the_same_for_all_frames():
    frames = []
    for x in (10, 14):
        frame = Image.new("RGB", (60, 40), "white")
        frame.paste(RED, (x, 10, x + 20, 30))
        frames.append(frame)
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100, loop=0)
    sizes = {frame.size for frame, _ in frames_of(made(data, "trim").data)}
    assert sizes == {(20, 20)}


def test_a_budget_of_bytes_holds_for_animations():
    data = animation("WEBP", size=(300, 200))
    whole = made(data, "format=webp&q=95").data
    assert LIMITS.max_animation_frames >= 3
    assert len(made(data, f"format=webp&q=95&max_bytes={len(whole)}").data) <= len(whole)
