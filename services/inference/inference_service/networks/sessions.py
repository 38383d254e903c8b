"""One ONNX file in onnxruntime: its threads, its provider, what goes in and what comes out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
from imagesystem.models import BadModel
from numpy.typing import NDArray

__all__ = ["PROVIDERS", "Arrays", "Port", "Provider", "Session", "Signature", "require_provider"]

Provider: TypeAlias = Literal["cpu", "cuda"]
#: Arrays by the names of a network's inputs or outputs; the first axis is the picture.
Arrays: TypeAlias = Mapping[str, NDArray[Any]]

#: What onnxruntime calls the devices that may be asked for.
PROVIDERS: dict[Provider, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(uint8)": "uint8",
}


class Port(msgspec.Struct, frozen=True, kw_only=True):
    """An input or output: `shape` has None where any length will do."""

    name: str
    type: str
    shape: tuple[int | None, ...]


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """What goes into a network and what comes out."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    @property
    def free(self) -> bool:
        """Whether it takes any number of pictures at once."""
        return all(port.shape and port.shape[0] is None for port in self.inputs)

    @property
    def picture(self) -> Port:
        """The input for the picture; raises `BadModel` if there is none that can be."""
        ports = [port for port in self.inputs if len(port.shape) == 4]
        if len(ports) != 1 or ports[0].shape[1] not in (3, None):
            told = ", ".join(f"{port.name} {port.shape}" for port in self.inputs)
            raise BadModel(f"it wants {told}; a picture is (n, 3, height, width)")
        return ports[0]


class Session:
    """A network, loaded; may be called from any thread."""

    def __init__(self, path: Path, provider: Provider, threads: int) -> None:
        import onnxruntime  # type: ignore[import-untyped]  # noqa: PLC0415  see `require_provider`

        require_provider(provider)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # what spins takes the cores from decoding
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        options.log_severity_level = 3
        wanted = [PROVIDERS[provider]]
        try:
            self._session = onnxruntime.InferenceSession(
                str(path),
                options,
                providers=list(dict.fromkeys([*wanted, PROVIDERS["cpu"]])),
                provider_options=_provider_options(provider),
            )
        except Exception as error:  # what it raises has no common root
            raise BadModel(
                f"{path.name}: onnxruntime {onnxruntime.__version__} cannot load it: "
                f"{_first_line(error)}"
            ) from error
        if self._session.get_providers()[:1] != wanted:
            raise BadModel(
                f"{path.name}: {provider} was asked for, and onnxruntime took "
                f"{', '.join(self._session.get_providers())}"
            )
        self.signature = Signature(
            inputs=tuple(_port(path, node) for node in self._session.get_inputs()),
            outputs=tuple(_port(path, node) for node in self._session.get_outputs()),
        )
        self._names = [port.name for port in self.signature.outputs]
        #: What its makers wrote into the file, by their names for it.
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Return the outputs by name."""
        return dict(zip(self._names, self._session.run(self._names, dict(inputs)), strict=True))


def require_provider(provider: Provider) -> None:
    """Raise `BadModel` unless this onnxruntime can do what is asked for."""
    # 60 MB that only the process that runs networks shall need
    import onnxruntime  # noqa: PLC0415

    there = onnxruntime.get_available_providers()
    if PROVIDERS[provider] not in there:
        raise BadModel(
            f"PROVIDER={provider}: this onnxruntime has {', '.join(there)}; "
            "for cuda install onnxruntime-gpu instead of onnxruntime"
        )


def _provider_options(provider: Provider) -> list[dict[str, str]]:
    # memory grows by what is asked for, not by powers of two that are then kept
    arena = {"arena_extend_strategy": "kSameAsRequested"}
    return [arena, {}] if provider == "cuda" else [{}]


def _port(path: Path, node: Any) -> Port:
    kind = _TYPES.get(node.type)
    if kind is None:
        raise BadModel(f"{path.name}: {node.name} is a {node.type}, which cannot be fed or read")
    shape = tuple(side if isinstance(side, int) and side > 0 else None for side in node.shape or ())
    return Port(name=node.name, type=str(np.dtype(kind)), shape=shape)


def _first_line(error: Exception) -> str:
    """Return what onnxruntime says, without where in its source it says it."""
    line = (str(error).strip().splitlines() or [repr(error)])[0]
    line = re.sub(
        r"^\[ONNXRuntimeError\] : \d+ : (\w+) : (Load model from \S+ failed:)?", r"\1: ", line
    )
    return re.sub(r"/\S+:\d+ .*?\) (?=[A-Z])", "", line)[:300]
