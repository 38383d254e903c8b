"""A model from the shelf as what answers a task: prepare the picture, ask the network, read."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from imagesystem.errors import Transient
from imagesystem.events import Embedding, Faces, Labels, Objects, Text
from imagesystem.models import BadModel, ModelSpec, Shelf, class_names
from numpy.typing import NDArray

from inference_service import text
from inference_service.decoding import Picture
from inference_service.labels import derive_labels
from inference_service.models import Findings, Model, Result
from inference_service.networks import lines
from inference_service.networks.asking import Networks, remote_at
from inference_service.networks.classifiers import compared, recognised
from inference_service.networks.detectors import Outputs, objects_of, read_boxes
from inference_service.networks.encoders import vector_of
from inference_service.networks.host import Key
from inference_service.networks.preparation import Feed, Placed, feed_of, prepare, side_of
from inference_service.networks.sessions import Signature
from inference_service.networks.yunet import faces_of

__all__ = ["REVISION", "Network", "check_answer", "embed_text", "model_of", "try_out"]

#: Of what is done before and after the network; a change changes answers.
REVISION = "1"
#: The input by which DETR's makers tell the size that boxes shall be in: width, height.
SIZES = "orig_target_sizes"


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that a network has looked at, and what it said."""

    network: Network
    outputs: Outputs
    placed: Placed
    picture: Picture
    found: Findings
    networks: Networks


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """Answers a task with a model; travels to worker processes. `socket`: where its runner is."""

    task: str
    spec: ModelSpec
    signature: Signature
    feed: Feed
    socket: str

    @property
    def key(self) -> Key:
        """Which network it is."""
        return Key(model=self.spec.name, fingerprint=self.spec.fingerprint)

    def __call__(self, picture: Picture, found: Findings) -> Result:
        """Return the task's answer; raises `Transient` when the model cannot give it."""
        try:
            return self.answer(picture, found, remote_at(self.socket))
        except BadModel as error:  # it was good when it was chosen: it may be again
            raise Transient(error.message, code=error.code) from error

    def answer(self, picture: Picture, found: Findings, networks: Networks) -> Result:
        """Return the task's answer as `networks` give it; raises `BadModel`, `Transient`."""
        if self.task == "text":  # line by line, and not the picture at once
            return _text(self, picture, networks)
        placed = prepare(picture, self.feed)
        outputs = networks.run(self.key, self._inputs(placed))
        return _READERS[self.task](
            _Seen(
                network=self,
                outputs=outputs,
                placed=placed,
                picture=picture,
                found=found,
                networks=networks,
            )
        )

    def _inputs(self, placed: Placed) -> dict[str, NDArray[Any]]:
        port = self.signature.picture
        inputs: dict[str, NDArray[Any]] = {port.name: placed.tensor.astype(port.type, copy=False)}
        for other in self.signature.inputs:
            if other.name == SIZES:
                height, width = self.feed.size
                inputs[SIZES] = np.array([[width, height]], other.type)
            elif other.name != port.name:
                raise BadModel(f"{self.spec.name} wants {other.name}, which nobody knows")
        return inputs


def _text(network: Network, picture: Picture, networks: Networks) -> Text:
    if networks is remote_at(network.socket):
        engine = lines.kept_engine(network.socket, network.key, network.spec, network.signature)
    else:
        engine = lines.engine_by(network.key, network.spec, network.signature, networks)
    return text.text_by(engine, picture, network.spec.languages)


def _objects(seen: _Seen) -> Objects:
    spec = seen.network.spec
    boxes = read_boxes(spec.kind, seen.outputs, seen.network.feed.size)
    return objects_of(boxes, seen.placed, seen.picture, class_names(spec.classes), spec)


def _faces(seen: _Seen) -> Faces:
    return faces_of(seen.outputs, seen.placed, seen.picture)


def _labels(seen: _Seen) -> Labels:
    """Return what is recognised beside what follows from the other tasks."""
    spec = seen.network.spec
    names = class_names(spec.classes)
    if spec.kind == "clip":
        vector = vector_of(seen.outputs, spec.pool, spec.name)
        labels = compared(vector, _words(seen.network, seen.networks), names, spec.name)
    else:
        labels = recognised(seen.outputs, names, spec.activation, spec.name)
    derived = derive_labels(seen.found)
    known = {label.name for label in labels}
    labels += [label for label in derived.labels if label.name not in known]
    return Labels(
        labels=sorted(labels, key=lambda label: -label.confidence), missing=derived.missing
    )


def _embedding(seen: _Seen) -> Embedding:
    spec = seen.network.spec
    return _embedded(vector_of(seen.outputs, spec.pool, spec.name))


#: How what a network says is read, by the task that it answers.
_READERS: dict[str, Callable[[_Seen], Result]] = {
    "objects": _objects,
    "faces": _faces,
    "labels": _labels,
    "embedding": _embedding,
}


def _embedded(vector: NDArray[np.float32]) -> Embedding:
    return Embedding(dimensions=vector.size, vector=vector.astype("<f4").tobytes())


def _words(network: Network, networks: Networks) -> NDArray[np.float32]:
    if networks is remote_at(network.socket):
        return _kept_words(network.socket, network.key)
    return networks.words(network.key)


@functools.lru_cache(maxsize=2)
def _kept_words(socket: str, key: Key) -> NDArray[np.float32]:
    return remote_at(socket).words(key)


def embed_text(network: Network, text: str) -> Embedding:
    """Return a text as a vector in the space of its model's pictures; runs in a worker process.

    Raises `Transient` as the network does.
    """
    try:
        return _embedded(remote_at(network.socket).text(network.key, text))
    except BadModel as error:
        raise Transient(error.message, code=error.code) from error


def model_of(task: str, spec: ModelSpec, networks: Networks, socket: str = "") -> Model:
    """Return what answers `task` with a model from the shelf; raises `BadModel` if it cannot."""
    if task not in spec.tasks:
        raise BadModel(f"{spec.name} answers {' and '.join(spec.tasks)}, not {task}")
    key = Key(model=spec.name, fingerprint=spec.fingerprint)
    signature = networks.signature(key)
    try:
        shape = signature.picture.shape
    except BadModel as error:
        raise BadModel(f"{spec.name}: {error.message}") from error
    feed = feed_of(spec.kind, spec.input, (shape[2], shape[3]))
    network = Network(task=task, spec=spec, signature=signature, feed=feed, socket=socket)
    return Model(
        task=task,
        name=f"{spec.name}+rules" if task == "labels" else spec.name,
        version=f"{spec.fingerprint}+{REVISION}",
        side=text.SIDE if task == "text" else side_of(feed),
        run=network,
        slow=task == "text",
        languages=spec.languages,
    )


def try_out(folder: Path, name: str, networks: Networks) -> list[str]:
    """Return the tasks that a model of a folder has answered for a blank picture.

    Raises `BadModel`: a digest, an opset, a shape, classes that do not fit.
    """
    shelf = Shelf(folder)
    spec = shelf.model(name)
    shelf.verify(spec)
    for task in spec.tasks:
        check_answer(model_of(task, spec, networks), networks)
    return list(spec.tasks)


def check_answer(model: Model, networks: Networks) -> None:
    """Have a model from the shelf look at a blank picture; raises `BadModel` if it cannot."""
    network = model.run
    assert isinstance(network, Network)  # noqa: S101  `model_of` made it
    blank = Picture(pixels=np.full((48, 64, 3), 127, np.uint8), width=64, height=48)
    try:
        if model.task == "text":
            lines.check(network.key, network.spec, network.signature, networks)
        else:
            network.answer(blank, {}, networks)
    except (BadModel, Transient):
        raise
    except Exception as error:  # whatever onnxruntime or the reader stumbles over
        raise BadModel(f"{model.name}: {type(error).__name__}: {error}") from error
