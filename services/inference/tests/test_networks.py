"""Networks from files: fed, run in a real session, batched, and read."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagesystem.events import Embedding, Faces, Labels, Objects
from imagesystem.models import InputSpec, Shelf
from inference_service.networks.host import Host, Key
from inference_service.networks.network import Network, model_of
from inference_service.networks.preparation import Feed, prepare
from inference_service.networks.suppression import suppress

from services.inference.tests import onnx_models
from services.inference.tests.hosted import black, near, say, seen
from services.inference.tests.onnx_models import CELL, install

LAYOUTS = {
    "yolox": onnx_models.yolox,
    "yolov8": onnx_models.yolov8,
    "rtdetr": onnx_models.detr_raw,
    "dfine": onnx_models.detr_told,
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_detectors_of_all_layouts_find_bright_rectangles(host: Host, kind: str) -> None:
    install(host.shelf, "made", kind, ("objects",), {"image": LAYOUTS[kind]()}, classes=("a", "b"))
    pixels = black(640, 640)
    pixels[3 * CELL : 4 * CELL, 5 * CELL : 6 * CELL] = 255
    first = 2 if kind == "yolox" else 0  # its makers feed it with BGR
    pixels[10 * CELL : 11 * CELL, 2 * CELL : 3 * CELL, first] = 255
    objects = say(host, "objects", "made", seen(pixels, whole=2))
    assert isinstance(objects, Objects)
    assert {found.label for found in objects.objects} == {"a", "b"}
    by_label = {found.label: found for found in objects.objects}
    # in pixels of the picture before it was reduced
    assert near(by_label["a"].box, 5 * 64, 3 * 64, 64, 64)
    assert near(by_label["b"].box, 2 * 64, 10 * 64, 64, 64)
    assert by_label["a"].detector == "made"
    assert by_label["a"].confidence > 0.9
    assert objects.objects == sorted(objects.objects, key=lambda found: -found.confidence)


@pytest.mark.parametrize(
    ("kind", "made"),
    [("rtdetr", onnx_models.detr_told), ("dfine", onnx_models.detr_raw)],
)
def test_both_exports_of_detr_are_read(host: Host, kind: str, made: Any) -> None:
    install(host.shelf, "made", kind, ("objects",), {"image": made()}, classes=("a", "b"))
    pixels = black(640, 640)
    pixels[3 * CELL : 4 * CELL, 5 * CELL : 6 * CELL] = 255
    (found,) = say(host, "objects", "made", seen(pixels)).objects
    assert near(found.box, 5 * CELL, 3 * CELL, CELL, CELL)


@pytest.mark.parametrize("size", [(1280, 640), (320, 640), (1000, 300)])
@pytest.mark.parametrize("kind", LAYOUTS)
def test_boxes_lie_where_the_rectangle_was_whatever_the_shape(
    host: Host, kind: str, size: tuple[int, int]
) -> None:
    install(host.shelf, "made", kind, ("objects",), {"image": LAYOUTS[kind]()}, classes=("a", "b"))
    width, height = size
    scale = max(width, height) / 640
    # a rectangle that covers exactly one cell of what the network is fed with
    if kind == "rtdetr":
        across, down, left, top = width / 640, height / 640, 0.0, 0.0
    else:
        across = down = scale
        centred = kind != "yolox"
        left = (640 - width / scale) / 2 if centred else 0.0
        top = (640 - height / scale) / 2 if centred else 0.0
    column, row = math.ceil(left / CELL) + 2, math.ceil(top / CELL) + 1
    x, y = (column * CELL - left) * across, (row * CELL - top) * down
    pixels = black(width, height)
    pixels[round(y) : round(y + CELL * down), round(x) : round(x + CELL * across)] = 255
    found = say(host, "objects", "made", seen(pixels)).objects
    assert [item.label for item in found] == ["a"], found
    tolerance = 2.0
    box = found[0].box
    assert abs(box.x - x) < tolerance
    assert abs(box.y - y) < tolerance
    assert abs(box.width - CELL * across) < tolerance
    assert abs(box.height - CELL * down) < tolerance


def test_nothing_is_found_in_a_black_picture(host: Host) -> None:
    for kind, made in LAYOUTS.items():
        install(host.shelf, kind, kind, ("objects",), {"image": made()}, classes=("a", "b"))
        assert say(host, "objects", kind, seen(black(200, 100))).objects == []


def test_yunet_finds_faces_with_five_landmarks(host: Host) -> None:
    install(host.shelf, "made", "yunet", ("faces",), {"image": onnx_models.yunet()})
    pixels = black(640, 640)
    pixels[3 * CELL : 4 * CELL, 5 * CELL : 6 * CELL] = 255
    faces = say(host, "faces", "made", seen(pixels))
    assert isinstance(faces, Faces)
    (face,) = faces.faces
    assert near(face.box, 5 * CELL, 3 * CELL, CELL, CELL)
    assert list(face.landmarks) == ["left_eye", "right_eye", "nose", "left_mouth", "right_mouth"]
    assert (face.landmarks["left_eye"].x, face.landmarks["left_eye"].y) == (168, 104)
    assert (face.landmarks["nose"].x, face.landmarks["nose"].y) == (176, 112)


def test_a_classifier_says_what_its_weights_say(host: Host) -> None:
    install(
        host.shelf,
        "made",
        "classifier",
        ("labels",),
        {"image": onnx_models.classifier()},
        classes=("red", "green", "blue"),
    )
    pixels = black(30, 20)
    pixels[..., 1] = 255
    pixels[..., 0] = 204
    labels = say(host, "labels", "made", seen(pixels))
    assert isinstance(labels, Labels)
    powers = [math.exp(8), math.exp(10), math.exp(0)]
    assert [label.name for label in labels.labels] == ["green", "red"]
    assert labels.labels[0].confidence == pytest.approx(powers[1] / sum(powers), abs=1e-3)
    assert labels.labels[1].confidence == pytest.approx(powers[0] / sum(powers), abs=1e-3)
    assert {label.source for label in labels.labels} == {"recognised"}
    assert labels.labels[0].evidence == {"model": "made"}
    assert set(labels.missing) == {"analysis", "objects", "faces", "text"}


def install_pair(shelf: Shelf) -> None:
    install(
        shelf,
        "pair",
        "clip",
        ("embedding", "labels"),
        {
            "image": onnx_models.encoder(),
            "text": onnx_models.text_encoder(),
            "tokenizer": onnx_models.tokenizer(),
        },
        classes=("red", "green", "blue"),
        prompt="{}",
    )


def test_a_pair_compares_pictures_with_words(host: Host) -> None:
    install_pair(host.shelf)
    pixels = black(30, 20)
    pixels[..., 2] = 255
    labels = say(host, "labels", "pair", seen(pixels))
    assert [label.name for label in labels.labels] == ["blue"]
    assert labels.labels[0].confidence > 0.99


def test_texts_lie_in_the_space_of_pictures(host: Host) -> None:
    install_pair(host.shelf)
    pixels = black(30, 20)
    pixels[..., 0] = 200
    embedding = say(host, "embedding", "pair", seen(pixels))
    assert isinstance(embedding, Embedding)
    picture = np.frombuffer(embedding.vector, "<f4")
    assert embedding.dimensions == picture.size == 3
    assert np.linalg.norm(picture) == pytest.approx(1)
    spec = host.shelf.model("pair")
    key = Key(model="pair", fingerprint=spec.fingerprint)
    red, blue = (host.text(key, word) for word in ("red", "blue"))
    assert picture @ red > 0.99 > 0.01 > picture @ blue


@pytest.mark.parametrize(("pool", "wanted"), [("cls", (1, 0, 0)), ("mean", (1.5, 0.5, 0.5))])
def test_of_an_encoder_that_says_tokens_one_vector_is_told(
    host: Host, pool: Any, wanted: tuple[float, ...]
) -> None:
    install(
        host.shelf,
        "made",
        "encoder",
        ("embedding",),
        {"image": onnx_models.encoder(tokens=True)},
        pool=pool,
    )
    pixels = black(30, 20)
    pixels[..., 0] = 255
    vector = np.frombuffer(say(host, "embedding", "made", seen(pixels)).vector, "<f4")
    assert vector == pytest.approx(np.array(wanted) / np.linalg.norm(wanted), abs=1e-3)


BOXES = st.lists(
    st.tuples(
        st.integers(0, 20),
        st.integers(0, 20),
        st.integers(1, 12),
        st.integers(1, 12),
        st.integers(0, 2),
    ),
    max_size=30,
)


def _plainly(boxes: list[tuple[int, ...]], scores: list[float], most: float) -> list[int]:
    """Suppress as one would on paper: every pair, one number at a time."""
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda index: -scores[index]):
        left, top, width, height, kind = boxes[index]
        alone = True
        for other in kept:
            l2, t2, w2, h2, k2 = boxes[other]
            wide = min(left + width, l2 + w2) - max(left, l2)
            high = min(top + height, t2 + h2) - max(top, t2)
            shared = max(wide, 0) * max(high, 0)
            if k2 == kind and shared / (width * height + w2 * h2 - shared) > most:
                alone = False
        if alone:
            kept.append(index)
    return kept


@given(boxes=BOXES, most=st.sampled_from([0.0, 0.3, 0.45, 0.8]), seed=st.integers(0, 1000))
def test_suppression_keeps_what_a_plain_reference_keeps(
    boxes: list[tuple[int, ...]], most: float, seed: int
) -> None:
    scores = np.random.default_rng(seed).permutation(len(boxes)).astype(np.float32)
    table = np.array(boxes, np.float32).reshape(-1, 5)
    corners = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], 1)
    kept = suppress(corners, scores, table[:, 4].astype(np.int64), most)
    assert kept.tolist() == _plainly(boxes, scores.tolist(), most)


@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    fit=st.sampled_from(["letterbox", "letterbox-corner", "stretch", "crop"]),
    x=st.floats(0, 1),
    y=st.floats(0, 1),
)
def test_places_find_their_way_back(width: int, height: int, fit: Any, x: float, y: float) -> None:
    feed = Feed(size=(64, 96), fit=fit)
    placed = prepare(seen(black(width, height), whole=3), feed)
    assert placed.tensor.shape == (1, 3, 64, 96)
    place = np.array([x * width * 3, y * height * 3], np.float32)
    there = place * [placed.across, placed.down] + [placed.left, placed.top]
    assert placed.back(there.astype(np.float32)) == pytest.approx(place, abs=0.05)


def test_a_picture_is_fed_as_the_model_wants_it() -> None:
    pixels = black(8, 8)
    pixels[..., 0], pixels[..., 2] = 255, 51
    feed = Feed(size=(8, 8), fit="stretch", channels="bgr", mean=(0.1, 0, 0), std=(0.5, 1, 2))
    assert prepare(seen(pixels), feed).tensor[0, :, 0, 0] == pytest.approx([0.2, 0, 0.5])


def test_a_size_that_the_model_leaves_open_is_told_by_its_input(host: Host) -> None:
    spec = install(
        host.shelf,
        "made",
        "classifier",
        ("labels",),
        {"image": onnx_models.classifier()},
        classes=("a", "b", "c"),
        input=InputSpec(size=(99, 99), fit="stretch"),
    )
    model = model_of("labels", spec, host)
    assert isinstance(model.run, Network)
    assert model.run.feed.size == (8, 8)  # what the file says cannot be overruled
    assert model.version == f"{spec.fingerprint}+1"
    assert model.name == "made+rules"
