"""Pictures for tests: the samples, and small ones made on the spot, each with its own bytes."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

SAMPLES = Path(__file__).parent / "data"


def sample(name: str) -> bytes:
    """Return the bytes of a sample photograph, as `astronaut.png`."""
    return (SAMPLES / name).read_bytes()


def picture(seed: int, form: str = "JPEG", size: tuple[int, int] = (160, 120)) -> bytes:
    """Return a small picture whose bytes depend on `seed`: a gradient with noise."""
    random = np.random.default_rng(seed)
    width, height = size
    ramp = np.linspace(0, 200, width)[None, :, None] + np.zeros((height, 1, 3))
    noise = random.integers(0, 55, (height, width, 3))
    file = io.BytesIO()
    Image.fromarray((ramp + noise).astype(np.uint8)).save(file, form)
    return file.getvalue()


def png(width: int, height: int, pixels: bytes) -> bytes:
    """Return a PNG (8-bit RGB) of whole structure that says it has this size and these pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def corrupt_pixels(seed: int = 0) -> bytes:
    """Return a PNG whose structure is whole and whose pixels do not inflate."""
    return png(64, 64, b"\x78\x9c" + seed.to_bytes(4, "big") + b"\xff" * 200)
