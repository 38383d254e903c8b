"""What a model is: its files with their digests, what it is fed, how its answer is read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec

from imagesystem.errors import Permanent

__all__ = [
    "KINDS",
    "NETWORKS",
    "BadModel",
    "InputSpec",
    "Kind",
    "ModelFile",
    "ModelSpec",
    "Role",
    "check",
    "class_names",
    "digest_of",
]

#: What a file of a model is for. `image`: the network that looks at pictures (or lines of text);
#: `data`: weights beside an ONNX file that is too large for one.
Role: TypeAlias = Literal["image", "text", "tokenizer", "detector", "characters", "data"]
#: Roles of files that are networks.
NETWORKS: tuple[Role, ...] = ("image", "text", "detector")
#: Lists of class names that come with this package.
LISTS = ("coco-80", "everyday-60", "imagenet-1k")

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_PIECE = 1024 * 1024


class BadModel(Permanent):
    """A model that cannot be used, and why."""

    code = "bad_model"


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A way to feed a model and read its answer; `needs` and `may_have`: roles of its files."""

    name: str
    tasks: tuple[str, ...]
    description: str
    needs: tuple[Role, ...] = ("image",)
    may_have: tuple[Role, ...] = ("data",)
    classes: bool = False


#: Every kind there is, by name.
KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            name="yolox",
            tasks=("objects",),
            description="YOLOX: (1, anchors, 5 + classes), relative to its grids",
            classes=True,
        ),
        Kind(
            name="yolov8",
            tasks=("objects",),
            description="YOLOv8 and what has its layout: (1, 4 + classes, anchors)",
            classes=True,
        ),
        Kind(
            name="rtdetr",
            tasks=("objects",),
            description="RT-DETR: logits and pred_boxes, or labels, boxes and scores",
            classes=True,
        ),
        Kind(
            name="dfine",
            tasks=("objects",),
            description="D-FINE: labels, boxes and scores, or logits and pred_boxes",
            classes=True,
        ),
        Kind(
            name="yunet",
            tasks=("faces",),
            description="YuNet: cls, obj, bbox and kps at strides 8, 16 and 32",
        ),
        Kind(
            name="classifier",
            tasks=("labels",),
            description="one score for each class",
            classes=True,
        ),
        Kind(
            name="encoder",
            tasks=("embedding",),
            description="a picture as a vector: DINO and its like",
        ),
        Kind(
            name="clip",
            tasks=("embedding", "labels"),
            description="a picture and a text as vectors of one space: CLIP, SigLIP",
            may_have=("data", "text", "tokenizer"),
        ),
        Kind(
            name="ppocr",
            tasks=("text",),
            description="PP-OCR: a line of text as (1, steps, 1 + characters + 1)",
            may_have=("data", "detector", "characters"),
        ),
    )
}


class InputSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model is fed, where that is not what its kind is usually fed.

    `size`: height and width in pixels, for models that take any; `scale` is multiplied with
    levels of 0-255, then `mean` is subtracted and the rest divided by `std`; `pad`: the level
    around a letterboxed picture; `shorten`: before the middle is cut out, the shorter side is
    brought to this multiple of the size.
    """

    size: tuple[int, int] | None = None
    fit: Literal["letterbox", "letterbox-corner", "stretch", "crop"] | None = None
    channels: Literal["rgb", "bgr"] | None = None
    scale: float | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    pad: Annotated[int, msgspec.Meta(ge=0, le=255)] | None = None
    shorten: Annotated[float, msgspec.Meta(ge=1, le=2)] | None = None


class ModelFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file: `sha256` in hex digits; `bytes` 0: not known beforehand."""

    role: Role
    name: str
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    url: str = ""
    bytes: Annotated[int, msgspec.Meta(ge=0)] = 0


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model.

    `classes`: the names of its classes, in its order, or the name of a list that comes with this
    package; of a pair of encoders: the words that pictures are compared with, each put into
    `prompt`. `pool`: which of an encoder's tokens is the answer, where it tells all. `tokens`: the
    longest text, and `pad`, whether shorter ones are filled up to it. `languages`: ISO 639-1 codes
    of what it reads.
    """

    name: str
    tasks: tuple[str, ...]
    kind: str
    licence: str
    files: tuple[ModelFile, ...]
    source: str = ""
    description: str = ""
    input: InputSpec = InputSpec()
    classes: str | tuple[str, ...] = ()
    activation: Literal["auto", "softmax", "sigmoid", "none"] = "auto"
    pool: Literal["cls", "mean"] = "cls"
    prompt: str = "a photo of a {}"
    tokens: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 77
    pad: bool = False
    languages: tuple[str, ...] = ()

    def file(self, role: Role) -> ModelFile | None:
        """Return the file of a role, if there is one."""
        return next((file for file in self.files if file.role == role), None)

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that change when the same picture may get another answer."""
        what = {
            "kind": self.kind,
            "files": sorted((file.role, file.sha256) for file in self.files),
            "input": msgspec.to_builtins(self.input),
            "classes": class_names(self.classes),
            "rest": [self.activation, self.pool, self.prompt, self.tokens, self.pad],
            "languages": self.languages,
        }
        return hashlib.sha256(msgspec.json.encode(what, order="sorted")).hexdigest()[:12]


def class_names(classes: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return names of classes in the model's order; raises `BadModel` for an unknown list."""
    if not isinstance(classes, str):
        return classes
    if classes not in LISTS:
        raise BadModel(f"there is no list of classes {classes!r}; there are: {', '.join(LISTS)}")
    text = files("imagesystem.models").joinpath("classes", f"{classes}.txt").read_text("utf-8")
    return tuple(text.splitlines())


def check(spec: ModelSpec) -> ModelSpec:
    """Return the spec if it makes sense; raises `BadModel` saying what does not."""
    name = spec.name[:64]
    if not _NAME.fullmatch(spec.name):
        raise BadModel(f"{name!r} is no name: small letters, digits and . _ - (at most 63)")
    kind = KINDS.get(spec.kind)
    if kind is None:
        raise BadModel(f"{name}: {spec.kind!r} is no kind; there are: {', '.join(KINDS)}")
    if not spec.tasks or not set(spec.tasks) <= set(kind.tasks):
        told = ", ".join(spec.tasks) or "nothing"
        raise BadModel(f"{name}: a {kind.name} answers {' and '.join(kind.tasks)}, not {told}")
    roles = [file.role for file in spec.files]
    missing = [role for role in kind.needs if role not in roles]
    if "labels" in spec.tasks and kind.name == "clip":
        missing += [role for role in ("text", "tokenizer") if role not in roles]
    if missing:
        raise BadModel(f"{name}: a {kind.name} needs a file for: {', '.join(missing)}")
    _check_roles(spec, roles, {*kind.needs, *kind.may_have})
    wants_classes = kind.classes or (kind.name == "clip" and "labels" in spec.tasks)
    if wants_classes and not class_names(spec.classes):
        raise BadModel(f"{name}: a {kind.name} needs the names of its classes")
    if spec.languages and "text" not in spec.tasks:
        raise BadModel(f"{name}: a {kind.name} reads no language")
    for language in spec.languages:
        if not _LANGUAGE.fullmatch(language):
            raise BadModel(f"{name}: {language[:16]!r} is no ISO 639-1 code")
    if spec.prompt.count("{}") != 1:
        raise BadModel(f"{name}: the prompt has {{}} once, where the class comes")
    return spec


def _check_roles(spec: ModelSpec, roles: list[Role], known: set[Role]) -> None:
    for role in roles:
        if role not in known:
            raise BadModel(f"{spec.name}: a {spec.kind} has no file for {role!r}")
        if role != "data" and roles.count(role) > 1:
            raise BadModel(f"{spec.name}: two files for {role!r}")
    if ("text" in roles) != ("tokenizer" in roles):
        raise BadModel(f"{spec.name}: a text encoder needs its tokenizer, and a tokenizer it")
    names = [file.name for file in spec.files]
    for name in names:
        if not _FILE.fullmatch(name) or name == "model.json" or names.count(name) > 1:
            raise BadModel(f"{spec.name}: {name[:64]!r} cannot be the name of a file")


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def by_name(specs: tuple[ModelSpec, ...]) -> Mapping[str, ModelSpec]:
    """Return specs by their names; raises `BadModel` when two have the same."""
    found: dict[str, ModelSpec] = {}
    for spec in specs:
        if spec.name in found:
            raise BadModel(f"two models are called {spec.name}")
        found[spec.name] = check(spec)
    return found
