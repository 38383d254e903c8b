"""The networks that are loaded in this process: opened when asked for, closed when idle."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from imagesystem.models import BadModel, ModelSpec, Shelf, class_names, digest_of
from imagesystem.models.specs import Role
from numpy.typing import NDArray

from inference_service.networks.batching import Batching, BatchLimits, Tally
from inference_service.networks.encoders import tokens_of, vector_of
from inference_service.networks.sessions import Arrays, Provider, Session, Signature

__all__ = ["Host", "HostLimits", "Key", "Loaded"]


#: Where PP-OCR's converters write the characters, one a line.
CHARACTERS = "character"


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A network: the model's name, its fingerprint, and which of its files."""

    model: str
    fingerprint: str
    role: Role = "image"


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A network that is loaded, and what it has done since.

    `memory_bytes`: by how much the process grew while it was loaded and tried once.
    """

    key: Key
    device: str
    memory_bytes: int
    tally: Tally


class HostLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a host keeps to; `idle_s`: seconds after which an idle network is closed (0: never)."""

    provider: Provider = "cpu"
    threads: int = 1
    batch: BatchLimits = BatchLimits(most=8, wait_s=0.002)
    idle_s: float = 900.0


class _Hosted:
    """A loaded network."""

    def __init__(self, path: Path, limits: HostLimits) -> None:
        before = _resident_bytes()
        session = Session(path, limits.provider, limits.threads)
        self.signature = session.signature
        self.metadata = session.metadata
        _warm_up(session)
        self.memory_bytes = max(0, _resident_bytes() - before)
        self.batching = Batching(session.run, limits.batch, free=session.signature.free)
        self.callers = 0
        self.used_at = 0.0


class Host:
    """Networks of the models in a folder; may be asked from any thread."""

    def __init__(
        self, shelf: Shelf, limits: HostLimits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.shelf = shelf
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        # one network is opened at a time: each takes all cores and twice its memory meanwhile
        self._opening = threading.Lock()
        self._hosted: dict[Key, _Hosted] = {}
        self._words: dict[Key, NDArray[np.float32]] = {}

    def signature(self, key: Key) -> Signature:
        """Return what goes into a network and comes out, loading it; raises `BadModel`."""
        hosted = self._taken(key)
        self._give_back(hosted)
        return hosted.signature

    def run(self, key: Key, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Return a network's outputs for one picture or text; raises what it raises."""
        hosted = self._taken(key)
        try:
            return hosted.batching.answer(inputs)
        finally:
            self._give_back(hosted)

    def text(self, key: Key, text: str) -> NDArray[np.float32]:
        """Return the vector of a text, float32 (d,), of length 1."""
        spec = self._spec(key)
        file = spec.file("tokenizer")
        if file is None:
            raise BadModel(f"{spec.name} has no text encoder")
        own = msgspec.structs.replace(key, role="text")
        ports = {port.name: port for port in self.signature(own).inputs}
        if "input_ids" not in ports:
            raise BadModel(
                f"{spec.name}: its text encoder has no input_ids, but {', '.join(ports)}"
            )
        fixed = (*ports["input_ids"].shape, None)[1]
        told = tokens_of(text, spec, self.shelf.path(spec, file), fixed)
        inputs = {
            name: told[name].astype(port.type) for name, port in ports.items() if name in told
        }
        return vector_of(self.run(own, inputs), spec.pool, spec.name)

    def words(self, key: Key) -> NDArray[np.float32]:
        """Return the vectors of a model's classes, float32 (n, d); made once."""
        known = self._words.get(key)
        if known is None:
            spec = self._spec(key)
            texts = [spec.prompt.format(name) for name in class_names(spec.classes)]
            known = self._words[key] = np.stack([self.text(key, text) for text in texts])
        return known

    def characters(self, key: Key) -> list[str]:
        """Return the characters that a model reads: of its file of them, or as the network says."""
        spec = self._spec(key)
        file = spec.file("characters")
        if file is not None:
            path = self.shelf.path(spec, file)
            _require_digest(path, file.sha256)
            try:
                return [
                    line.rstrip("\r") for line in path.read_text("utf-8").rstrip("\n").split("\n")
                ]
            except (OSError, UnicodeDecodeError) as error:
                raise BadModel(f"{path} is no list of characters: {error}") from error
        hosted = self._taken(key)
        self._give_back(hosted)
        told = hosted.metadata.get(CHARACTERS, "")
        if not told:
            raise BadModel(
                f"{spec.name} does not say which characters it reads: add the list of them"
            )
        return told.splitlines()

    def loaded(self) -> list[Loaded]:
        """Return what is loaded now."""
        with self._lock:
            return [
                Loaded(
                    key=key,
                    device=self._limits.provider,
                    memory_bytes=hosted.memory_bytes,
                    tally=hosted.batching.tally,
                )
                for key, hosted in self._hosted.items()
            ]

    def close_idle(self) -> list[Key]:
        """Close what nobody asked for in `idle_s` seconds; returns it."""
        if not self._limits.idle_s:
            return []
        oldest = self._clock() - self._limits.idle_s
        return self.close(lambda _, hosted: hosted.used_at < oldest)

    def keep(self, keys: set[Key]) -> list[Key]:
        """Close everything else: no task needs it any more."""
        return self.close(lambda key, _: key not in keys)

    def close(self, wanted: Callable[[Key, _Hosted], bool] = lambda *_: True) -> list[Key]:
        """Close those networks that are wanted closed and that nobody is asking; returns them."""
        with self._lock:
            keys = [
                key
                for key, hosted in self._hosted.items()
                if not hosted.callers and wanted(key, hosted)
            ]
            gone = [self._hosted.pop(key) for key in keys]
            for key in keys:
                self._words.pop(key, None)
        for hosted in gone:
            hosted.batching.stop()
        return keys

    def _taken(self, key: Key) -> _Hosted:
        with self._lock:
            if (hosted := self._hosted.get(key)) is not None:
                hosted.callers += 1
                return hosted
        with self._opening:
            with self._lock:
                there = self._hosted.get(key)
            opened = there or self._open(key)
            with self._lock:
                hosted = self._hosted.setdefault(key, opened)
                hosted.callers += 1
                return hosted

    def _give_back(self, hosted: _Hosted) -> None:
        with self._lock:
            hosted.callers -= 1
            hosted.used_at = self._clock()

    def _open(self, key: Key) -> _Hosted:
        spec = self._spec(key)
        file = spec.file(key.role)
        if file is None:
            raise BadModel(f"{spec.name} has no file for {key.role!r}")
        for part in spec.files:
            if part.role in (key.role, "data", "tokenizer"):
                _require_digest(self.shelf.path(spec, part), part.sha256)
        return _Hosted(self.shelf.path(spec, file), self._limits)

    def _spec(self, key: Key) -> ModelSpec:
        spec = self.shelf.model(key.model)
        if spec.fingerprint != key.fingerprint:
            raise BadModel(f"{key.model} has been replaced: it is {spec.fingerprint} now")
        return spec


def _require_digest(path: Path, sha256: str) -> None:
    try:
        actual = digest_of(path)
    except OSError as error:
        raise BadModel(f"{path} cannot be read: {error.strerror}") from error
    if actual != sha256:
        raise BadModel(
            f"{path} is not what it was: its SHA-256 is {actual}, not {sha256}; "
            "pull or add the model again"
        )


def _warm_up(session: Session) -> None:
    """Let a network work once, where what it wants is known: the first time is the slowest."""
    shapes = [(1, *port.shape[1:]) for port in session.signature.inputs]
    if all(None not in shape for shape in shapes):
        session.run(
            {
                port.name: np.zeros(tuple(side or 1 for side in shape), port.type)
                for port, shape in zip(session.signature.inputs, shapes, strict=True)
            }
        )


def _resident_bytes() -> int:
    """Return the memory of this process, 0 where the system does not tell."""
    with suppress(OSError, ValueError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
