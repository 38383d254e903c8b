"""Models that cannot be used, and networks that nobody uses."""

from __future__ import annotations

import onnxruntime
import pytest
from imagesystem.models import BadModel, Shelf
from inference_service.networks.host import Host, HostLimits
from inference_service.networks.network import try_out

from services.inference.tests import onnx_models
from services.inference.tests.hosted import black, say, seen
from services.inference.tests.onnx_models import install


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
    host = Host(shelf, HostLimits(idle_s=60), clock=lambda: now[0])
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
