"""ONNX models made on the spot, whose answers follow from the picture by arithmetic."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from imagesystem.models import InputSpec, ModelFile, ModelSpec, Shelf, check
from imagesystem.models.specs import Role
from onnx import TensorProto, helper, numpy_helper

SIDE = 640
#: Rectangles lie on cells of the coarsest stride, so that each is one candidate.
CELL = 32
CELLS = SIDE // CELL


def _constant(name: str, value: np.ndarray[Any, Any]) -> onnx.TensorProto:
    return numpy_helper.from_array(value, name)


def _model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    constants: dict[str, np.ndarray[Any, Any]],
    opset: int = 17,
) -> bytes:
    graph = helper.make_graph(
        nodes, "made", inputs, outputs, [_constant(*item) for item in constants.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return model.SerializeToString()


def _floats(name: str, shape: Sequence[str | int | None]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def classifier(
    classes: int = 3, *, batch: str | int = "n", opset: int = 17, channels: int = 3
) -> bytes:
    """Return a classifier of 8 x 8 pixels: class c is ten times the mean of channel c."""
    weights = np.zeros((channels, classes), np.float32)
    np.fill_diagonal(weights, 10.0)
    return _model(
        [
            helper.make_node("ReduceMean", ["picture"], ["means"], axes=[2, 3], keepdims=0),
            helper.make_node("MatMul", ["means", "weights"], ["logits"]),
        ],
        [_floats("picture", [batch, channels, 8, 8])],
        [_floats("logits", [batch, classes])],
        {"weights": weights},
        opset,
    )


def _bright_cells(levels: float) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray[Any, Any]]]:
    """Return nodes that make `sure` (n, CELLS², 2) of `picture`: bright is class 0, red class 1.

    A cell is sure if it is bright in all channels, or in the first of RGB alone. `levels`: what
    white is.
    """
    kernel = np.zeros((2, 3, 1, 1), np.float32)
    kernel[0, :, 0, 0] = 1 / 3  # all of them
    kernel[1, :, 0, 0] = 1, -0.5, -0.5  # the first without the others
    nodes = [
        helper.make_node(
            "AveragePool", ["picture"], ["cells"], kernel_shape=[CELL] * 2, strides=[CELL] * 2
        ),
        helper.make_node("Conv", ["cells", "kernel"], ["both"]),
        helper.make_node("Div", ["both", "white"], ["share"]),
        helper.make_node("Sub", ["share", "threshold"], ["above"]),
        helper.make_node("Mul", ["above", "steep"], ["logit"]),
        helper.make_node("Reshape", ["logit", "flat"], ["flattened"]),
        helper.make_node("Transpose", ["flattened"], ["logits_of_cells"], perm=[0, 2, 1]),
        helper.make_node("Sigmoid", ["logits_of_cells"], ["sure"]),
    ]
    constants = {
        "kernel": kernel,
        "white": np.array(levels, np.float32),
        "threshold": np.array(0.8, np.float32),
        "steep": np.array(40.0, np.float32),
        "flat": np.array([0, 2, CELLS * CELLS], np.int64),
    }
    return nodes, constants


def _centres() -> np.ndarray[Any, Any]:
    """Return the centre of each cell as a share of the picture, float32 (1, CELLS², 2)."""
    place = (np.arange(CELLS, dtype=np.float32) + 0.5) / CELLS
    return np.stack(np.meshgrid(place, place), -1).reshape(1, -1, 2)


def _cells_of(stride: int) -> int:
    return (SIDE // stride) ** 2


def _yolo(
    boxes: np.ndarray[Any, Any], *, objectness: bool, transposed: bool, white: float
) -> bytes:
    """Return a YOLO: boxes (1, CELLS², 4) for the coarsest stride, nothing at the finer ones."""
    nodes, constants = _bright_cells(white)
    finer = _cells_of(8) + _cells_of(16)
    ones = "one" if objectness else ""
    constants |= {
        "boxes": boxes.astype(np.float32),
        "zero": np.array(0, np.float32),
        "one": np.array(1, np.float32),
        "first": np.array([0], np.int64),
        "four": np.array([4], np.int64),
        "once": np.array([1], np.int64),
        "last": np.array([2], np.int64),
        "finer": np.zeros((1, finer, 7 if objectness else 6), np.float32),
    }
    nodes += [
        # one row for each picture of the batch: what is sure, times nothing, plus the constants
        helper.make_node("Slice", ["sure", "first", "once", "last"], ["one_column"]),
        helper.make_node("Mul", ["one_column", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "boxes"], ["all_boxes"]),
        helper.make_node("Add", ["nothing", "one"], ["objectness"]),
        helper.make_node(
            "Concat", ["all_boxes", *(["objectness"] if ones else []), "sure"], ["coarse"], axis=2
        ),
        helper.make_node("ReduceMax", ["nothing"], ["no_pixel"], axes=[1, 2], keepdims=1),
        helper.make_node("Add", ["no_pixel", "finer"], ["all_finer"]),
        helper.make_node("Concat", ["all_finer", "coarse"], ["table"], axis=1),
    ]
    columns = 7 if objectness else 6
    anchors = finer + CELLS * CELLS
    if transposed:
        nodes.append(helper.make_node("Transpose", ["table"], ["output"], perm=[0, 2, 1]))
        shape: list[str | int | None] = ["n", columns, anchors]
    else:
        nodes.append(helper.make_node("Identity", ["table"], ["output"]))
        shape = ["n", anchors, columns]
    return _model(
        nodes, [_floats("picture", ["n", 3, SIDE, SIDE])], [_floats("output", shape)], constants
    )


def yolox() -> bytes:
    """Return a YOLOX: places relative to the cell, the logarithms of its sides, BGR levels.

    Its first channel is blue: class 1 is what is blue.
    """
    boxes = np.zeros((1, CELLS * CELLS, 4), np.float32)
    boxes[..., :2] = 0.5
    return _yolo(boxes, objectness=True, transposed=False, white=255.0)


def yolov8() -> bytes:
    """Return a YOLOv8: places in pixels, RGB 0-1."""
    boxes = np.concatenate([_centres() * SIDE, np.full((1, CELLS * CELLS, 2), CELL)], 2)
    return _yolo(boxes, objectness=False, transposed=True, white=1.0)


def detr_raw() -> bytes:
    """Return what RT-DETR and D-FINE say before their last step: logits and pred_boxes."""
    nodes, constants = _bright_cells(1.0)
    boxes = np.concatenate([_centres(), np.full((1, CELLS * CELLS, 2), 1 / CELLS)], 2)
    constants |= {
        "boxes": boxes.astype(np.float32),
        "zero": np.array(0, np.float32),
        "first": np.array([0], np.int64),
        "once": np.array([1], np.int64),
        "last": np.array([2], np.int64),
    }
    nodes += [
        helper.make_node("Identity", ["logits_of_cells"], ["logits"]),
        helper.make_node("Slice", ["sure", "first", "once", "last"], ["one_column"]),
        helper.make_node("Mul", ["one_column", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "boxes"], ["pred_boxes"]),
    ]
    queries = CELLS * CELLS
    return _model(
        nodes,
        [_floats("picture", ["n", 3, SIDE, SIDE])],
        [_floats("logits", ["n", queries, 2]), _floats("pred_boxes", ["n", queries, 4])],
        constants,
    )


def detr_told() -> bytes:
    """Return what the makers of RT-DETR and D-FINE export: labels, boxes and scores.

    Boxes are in pixels of the size that is told as `orig_target_sizes`.
    """
    nodes, constants = _bright_cells(1.0)
    half = np.float32(0.5 / CELLS)
    corners = np.concatenate([_centres() - half, _centres() + half], 2).astype(np.float32)
    constants |= {"corners": corners, "twice": np.array([1, 1, 2], np.int64)}
    constants |= {"middle": np.array([1], np.int64)}
    nodes += [
        helper.make_node("ReduceMax", ["sure"], ["scores"], axes=[2], keepdims=0),
        helper.make_node("ArgMax", ["sure"], ["labels"], axis=2, keepdims=0),
        helper.make_node("Cast", ["orig_target_sizes"], ["sizes"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["sizes", "middle"], ["one_size"]),
        helper.make_node("Tile", ["one_size", "twice"], ["both_sizes"]),
        helper.make_node("Mul", ["both_sizes", "corners"], ["boxes"]),
    ]
    queries = CELLS * CELLS
    sizes = helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, ["n", 2])
    labels = helper.make_tensor_value_info("labels", TensorProto.INT64, ["n", queries])
    return _model(
        nodes,
        [_floats("picture", ["n", 3, SIDE, SIDE]), sizes],
        [labels, _floats("boxes", ["n", queries, 4]), _floats("scores", ["n", queries])],
        constants,
    )


def yunet() -> bytes:
    """Return a YuNet: a face in each bright cell of the coarsest stride, its landmarks around."""
    nodes, constants = _bright_cells(255.0)
    outputs = []
    for stride in (8, 16):
        for name, width in {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}.items():
            constants[f"{name}_{stride}_is"] = np.zeros((1, _cells_of(stride), width), np.float32)
            nodes.append(
                helper.make_node("Identity", [f"{name}_{stride}_is"], [f"{name}_{stride}"])
            )
            outputs.append(_floats(f"{name}_{stride}", [1, _cells_of(stride), width]))
    cells = CELLS * CELLS
    box = np.zeros((1, cells, 4), np.float32)
    box[..., :2] = 0.5
    places = np.tile(
        np.array([0.25, 0.25, 0.75, 0.25, 0.5, 0.5, 0.25, 0.75, 0.75, 0.75], np.float32), cells
    ).reshape(1, cells, 10)
    constants |= {
        "box_is": box,
        "places_are": places,
        "obj_is": np.ones((1, cells, 1), np.float32),
        "first": np.array([0], np.int64),
        "once": np.array([1], np.int64),
        "last": np.array([2], np.int64),
    }
    nodes += [
        helper.make_node("Slice", ["sure", "first", "once", "last"], ["cls_32"]),
        helper.make_node("Identity", ["obj_is"], ["obj_32"]),
        helper.make_node("Identity", ["box_is"], ["bbox_32"]),
        helper.make_node("Identity", ["places_are"], ["kps_32"]),
    ]
    outputs += [
        _floats(f"{name}_32", [1, cells, width])
        for name, width in {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}.items()
    ]
    return _model(nodes, [_floats("picture", [1, 3, SIDE, SIDE])], outputs, constants)


def encoder(*, tokens: bool = False) -> bytes:
    """Return an image encoder of 8 x 8 pixels: the mean of each channel, twice if it has tokens.

    With `tokens` it says (n, 2, 3): the first token is the means, the second their doubles.
    """
    nodes = [helper.make_node("ReduceMean", ["picture"], ["means"], axes=[2, 3], keepdims=0)]
    if not tokens:
        nodes.append(helper.make_node("Identity", ["means"], ["image_embeds"]))
        output = _floats("image_embeds", ["n", 3])
        return _model(nodes, [_floats("picture", ["n", 3, 8, 8])], [output], {})
    nodes += [
        helper.make_node("Unsqueeze", ["means", "middle"], ["first"]),
        helper.make_node("Add", ["first", "one"], ["second"]),
        helper.make_node("Concat", ["first", "second"], ["last_hidden_state"], axis=1),
    ]
    constants = {"middle": np.array([1], np.int64), "one": np.array(1, np.float32)}
    output = _floats("last_hidden_state", ["n", 2, 3])
    return _model(nodes, [_floats("picture", ["n", 3, 8, 8])], [output], constants)


#: The words that the text encoder knows, with the colour that each means.
WORDS = {"[UNK]": (1, 1, 1), "red": (5, 0, 0), "green": (0, 5, 0), "blue": (0, 0, 5)}


def text_encoder() -> bytes:
    """Return a text encoder: the sum of its words' colours."""
    table = np.array(list(WORDS.values()), np.float32)
    return _model(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["each"]),
            helper.make_node("ReduceSum", ["each", "middle"], ["text_embeds"], keepdims=0),
        ],
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", "tokens"])],
        [_floats("text_embeds", ["n", 3])],
        {"table": table, "middle": np.array([1], np.int64)},
    )


def tokenizer() -> bytes:
    """Return the tokenizer of the text encoder: a word is a token."""
    from tokenizers import Tokenizer  # noqa: PLC0415
    from tokenizers.models import WordLevel  # noqa: PLC0415
    from tokenizers.pre_tokenizers import Whitespace  # noqa: PLC0415

    made = Tokenizer(WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    return made.to_str().encode()


def line_detector() -> bytes:
    """Return a detector of text that finds whatever is not white."""
    return _model(
        [
            helper.make_node("ReduceMin", ["x"], ["darkest"], axes=[1], keepdims=1),
            helper.make_node("Neg", ["darkest"], ["dark"]),
            helper.make_node("Clip", ["dark", "zero", "one"], ["sure"]),
        ],
        [_floats("x", ["n", 3, "h", "w"])],
        [_floats("sure", ["n", 1, "h", "w"])],
        {"zero": np.array(0, np.float32), "one": np.array(1, np.float32)},
    )


def line_reader(characters: Sequence[str] = "abc", *, told: bool = True) -> bytes:
    """Return a reader of lines 48 pixels high: red is the first character, then green, then blue.

    White is between characters. `told`: the file says the characters, as PP-OCR's do.
    """
    # of what it is fed with, BGR from -1 to 1: nothing, three colours, and never a space
    kernel = np.array(
        [[0.3, 0.3, 0.3], [-1, -1, 1], [-1, 1, -1], [1, -1, -1], [0, 0, 0]], np.float32
    )
    body = _model(
        [
            helper.make_node(
                "AveragePool", ["x"], ["places"], kernel_shape=[48, 8], strides=[48, 8]
            ),
            helper.make_node("Conv", ["places", "kernel", "bias"], ["likely"]),
            helper.make_node("Mul", ["likely", "steep"], ["logits"]),
            helper.make_node("Squeeze", ["logits", "row"], ["flat"]),
            helper.make_node("Transpose", ["flat"], ["steps"], perm=[0, 2, 1]),
            helper.make_node("Softmax", ["steps"], ["sure"], axis=2),
        ],
        [_floats("x", ["n", 3, 48, "w"])],
        [_floats("sure", ["n", "t", 5])],
        {
            "kernel": kernel[:, :, None, None],
            "bias": np.array([0, 0, 0, 0, -5], np.float32),
            "steep": np.array(20, np.float32),
            "row": np.array([2], np.int64),
        },
    )
    model = onnx.load_from_string(body)
    if told:
        helper.set_model_props(model, {"character": "\n".join(characters)})
    return model.SerializeToString()


def install(
    shelf: Shelf,
    name: str,
    kind: str,
    tasks: tuple[str, ...],
    parts: dict[Role, bytes],
    **more: Any,
) -> ModelSpec:
    """Put a model on a shelf."""
    places: dict[str, Path] = {}
    files = []
    shelf.folder.mkdir(parents=True, exist_ok=True)
    for role, body in parts.items():
        file = role + {"tokenizer": ".json", "characters": ".txt"}.get(role, ".onnx")
        places[file] = shelf.folder / f".{file}"
        places[file].write_bytes(body)
        files.append(ModelFile(role=role, name=file, sha256=hashlib.sha256(body).hexdigest()))
    if not {"objects", "faces", "text"} & set(tasks):
        more.setdefault("input", InputSpec(mean=(0, 0, 0), std=(1, 1, 1)))
    spec = ModelSpec(name=name, kind=kind, tasks=tasks, licence="MIT", files=tuple(files), **more)
    shelf.install(spec, places)
    return spec


def described(kind: str, tasks: tuple[str, ...], **more: Any) -> ModelSpec:
    """Return a model of one file that is nowhere; raises `BadModel` if it makes no sense."""
    file = ModelFile(role="image", name="image.onnx", sha256="0" * 64)
    return check(
        ModelSpec(name="made", kind=kind, tasks=tasks, licence="MIT", files=(file,), **more)
    )
