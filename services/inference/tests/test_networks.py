"""Networks from files: fed, run in a real session, batched, and read."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagesystem.events import Box, Embedding, Faces, Labels, Objects
from imagesystem.models import BadModel, InputSpec, Shelf
from inference_service.decoding import Picture
from inference_service.networks.batching import Batching, BatchLimits
from inference_service.networks.host import Host, HostLimits, Key
from inference_service.networks.network import Network, model_of, try_out
from inference_service.networks.preparation import Feed, prepare
from inference_service.networks.sessions import Session
from inference_service.networks.suppression import suppress

from services.inference.tests import onnx_models
from services.inference.tests.onnx_models import CELL, install

BATCH = BatchLimits(most=4, wait_s=0.01)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "models")


@pytest.fixture
def host(shelf: Shelf) -> Host:
    return Host(shelf, HostLimits(threads=1, batch=BATCH))


def say(host: Host, task: str, name: str, picture: Picture) -> Any:
    model = model_of(task, host.shelf.model(name), host)
    assert isinstance(model.run, Network)
    return model.run.answer(picture, {}, host)


def black(width: int, height: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.zeros((height, width, 3), np.uint8)


def seen(pixels: np.ndarray[Any, np.dtype[np.uint8]], whole: int = 1) -> Picture:
    """Return pixels as a picture that was `whole` times as large before it was reduced."""
    height, width = pixels.shape[:2]
    return Picture(pixels=pixels, width=width * whole, height=height * whole)


def near(box: Box, left: float, top: float, width: float, height: float) -> bool:
    places = (box.x, box.y, box.width, box.height)
    return all(
        math.isclose(place, wanted, abs_tol=1.0)
        for place, wanted in zip(places, (left, top, width, height), strict=True)
    )


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


# -- micro-batching


def asked_together(batching: Batching, inputs: list[dict[str, Any]]) -> list[Any]:
    """Ask for all at once; returns outputs or errors."""
    found: list[Any] = [None] * len(inputs)

    def ask(number: int) -> None:
        try:
            found[number] = batching.answer(inputs[number])
        except Exception as error:  # noqa: BLE001
            found[number] = error

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_what_comes_together_is_run_together(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_models.classifier())
    session = Session(path, "cpu", 1)
    sizes: list[int] = []

    def run(inputs: Any) -> Any:
        sizes.append(len(inputs["picture"]))
        return session.run(inputs)

    batching = Batching(run, BatchLimits(most=4, wait_s=5.0), free=session.signature.free)
    inputs = [{"picture": np.full((1, 3, 8, 8), n, np.float32)} for n in range(8)]
    found = asked_together(batching, inputs)
    batching.stop()
    assert sizes == [4, 4]
    for number, outputs in enumerate(found):
        assert outputs["logits"] == pytest.approx(np.full((1, 3), 10.0 * number))
    assert (batching.tally.pictures, batching.tally.batches) == (8, 2)


def test_a_model_of_one_picture_is_run_for_each(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_models.classifier(batch=1))
    session = Session(path, "cpu", 1)
    batching = Batching(session.run, BatchLimits(most=4, wait_s=5.0), free=session.signature.free)
    inputs = [{"picture": np.full((1, 3, 8, 8), n, np.float32)} for n in range(3)]
    found = asked_together(batching, inputs)
    batching.stop()
    assert [float(outputs["logits"][0, 0]) for outputs in found] == pytest.approx([0, 10, 20])
    assert batching.tally.batches == 3


def test_one_bad_picture_in_a_batch_fails_alone() -> None:
    def run(inputs: Any) -> Any:
        if (inputs["x"] < 0).any():
            raise ValueError("negative")
        return {"y": inputs["x"] * 2}

    batching = Batching(run, BatchLimits(most=3, wait_s=5.0), free=True)
    found = asked_together(batching, [{"x": np.array([value])} for value in (1, -1, 3)])
    batching.stop()
    assert isinstance(found[1], ValueError)
    assert (found[0]["y"][0], found[2]["y"][0]) == (2, 6)


def test_outputs_without_a_batch_axis_are_not_mixed_up() -> None:
    batching = Batching(
        lambda inputs: {"y": inputs["x"].sum(keepdims=True)},
        BatchLimits(most=3, wait_s=5.0),
        free=True,
    )
    found = asked_together(batching, [{"x": np.array([value])} for value in (1, 2, 3)])
    batching.stop()
    assert [int(outputs["y"][0]) for outputs in found] == [1, 2, 3]


def test_pictures_of_different_shapes_are_not_run_together() -> None:
    batching = Batching(
        lambda inputs: {"y": inputs["x"]}, BatchLimits(most=2, wait_s=5.0), free=True
    )
    inputs = [{"x": np.zeros((1, length))} for length in (2, 3, 2, 3)]
    found = asked_together(batching, inputs)
    batching.stop()
    assert [outputs["y"].shape for outputs in found] == [(1, 2), (1, 3), (1, 2), (1, 3)]


# -- what cannot be used


def test_what_is_no_model_is_told_in_one_line(host: Host) -> None:
    spec = install(
        host.shelf, "made", "classifier", ("labels",), {"image": b"no model"}, classes=("a",)
    )
    with pytest.raises(BadModel, match=r"^image.onnx: onnxruntime .* cannot load it: .+"):
        try_out(host.shelf.folder, spec.name, host)


def test_an_opset_from_the_future_is_told(host: Host) -> None:
    body = onnx_models.classifier(opset=99)
    install(host.shelf, "made", "classifier", ("labels",), {"image": body}, classes=("a", "b", "c"))
    with pytest.raises(BadModel, match=r"(?i)opset"):
        try_out(host.shelf.folder, "made", host)


def test_changed_files_are_not_run(host: Host) -> None:
    spec = install(
        host.shelf,
        "made",
        "classifier",
        ("labels",),
        {"image": onnx_models.classifier()},
        classes=("a", "b", "c"),
    )
    path = host.shelf.path(spec, spec.files[0])
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(BadModel, match=f"is not what it was: .*{spec.files[0].sha256}"):
        try_out(host.shelf.folder, "made", host)
    with pytest.raises(BadModel, match="is not what it was"):
        say(host, "labels", "made", seen(black(8, 8)))


@pytest.mark.parametrize(
    ("kind", "tasks", "body", "classes", "told"),
    [
        ("yolov8", ("objects",), onnx_models.yolox(), ("a", "b"), r"a yolov8 says .*this one"),
        ("yolox", ("objects",), onnx_models.yolov8(), ("a", "b"), r"a yolox says \(1, 8400, 5"),
        ("dfine", ("objects",), onnx_models.yolov8(), ("a", "b"), r"labels, boxes and scores"),
        ("yolox", ("objects",), onnx_models.yolox(), ("a",), "knows 2 classes, and 1 names"),
        ("yunet", ("faces",), onnx_models.yolox(), (), "a yunet says cls_8"),
        ("classifier", ("labels",), onnx_models.classifier(), ("a",), "and 1 names are given"),
        (
            "classifier",
            ("labels",),
            onnx_models.classifier(channels=4),
            ("a", "b", "c"),
            r"a picture is \(n, 3, height, width\)",
        ),
        ("encoder", ("embedding",), onnx_models.text_encoder(), (), "a picture is"),
    ],
)
def test_a_model_that_is_not_of_its_kind_is_told(
    host: Host, kind: str, tasks: tuple[str, ...], body: bytes, classes: tuple[str, ...], told: str
) -> None:
    install(host.shelf, "made", kind, tasks, {"image": body}, classes=classes)
    with pytest.raises(BadModel, match=told):
        try_out(host.shelf.folder, "made", host)


def test_a_device_that_is_not_there_is_not_replaced_in_silence(shelf: Shelf) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("there is one")
    install(
        shelf,
        "made",
        "classifier",
        ("labels",),
        {"image": onnx_models.classifier()},
        classes=("a", "b", "c"),
    )
    asked = Host(shelf, HostLimits(provider="cuda"))
    with pytest.raises(BadModel, match="PROVIDER=cuda: this onnxruntime has"):
        try_out(shelf.folder, "made", asked)


def test_idle_networks_are_closed_and_opened_again(shelf: Shelf) -> None:
    now = [0.0]
    host = Host(shelf, HostLimits(idle_s=60, batch=BATCH), clock=lambda: now[0])
    install(
        shelf,
        "made",
        "classifier",
        ("labels",),
        {"image": onnx_models.classifier()},
        classes=("a", "b", "c"),
    )
    before = say(host, "labels", "made", seen(black(8, 8)))
    now[0] = 59.0
    assert host.close_idle() == []
    assert [loaded.key.model for loaded in host.loaded()] == ["made"]
    now[0] = 61.0
    assert [key.model for key in host.close_idle()] == ["made"]
    assert host.loaded() == []
    assert say(host, "labels", "made", seen(black(8, 8))) == before


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
