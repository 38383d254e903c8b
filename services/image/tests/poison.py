"""Pictures that kill the process that decodes them, and workers in which they do."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from image_service import decoding
from PIL import ImageFile

_POISON = re.compile(rb"POISON:(\S+);")


def comment(deaths: Path) -> bytes:
    """Return what in a JPEG is deadly; each death leaves a byte in that file."""
    return b"POISON:" + os.fsencode(deaths) + b";"


def prepare(max_pixels: int) -> None:
    """Prepare a worker as the service does; afterwards its decoders crash on poison.

    As one with a bug does: in the middle of a picture, by a signal, without an exception.
    """
    decoding.prepare(max_pixels)
    load = ImageFile.ImageFile.load

    def deadly(self: ImageFile.ImageFile):
        if self.fp is not None:
            self.fp.seek(0)
            found = _POISON.search(self.fp.read())
            if found is not None:
                with Path(os.fsdecode(found[1])).open("ab") as deaths:
                    deaths.write(b"x")
                os.kill(os.getpid(), signal.SIGKILL)
        return load(self)

    ImageFile.ImageFile.load = deadly
