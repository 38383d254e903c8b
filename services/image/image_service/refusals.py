"""What was refused lately."""

from __future__ import annotations

import copy
import time
from collections import OrderedDict

from imagesystem.errors import Rejected

__all__ = ["Refusals"]


class Refusals:
    """What was refused lately: a picture that kills its decoder is not tried at every request."""

    LIFETIME_S = 300.0
    MOST = 1024

    def __init__(self) -> None:
        self._held: OrderedDict[str, tuple[float, Rejected]] = OrderedDict()

    def add(self, name: str, refusal: Rejected) -> None:
        """Remember the refusal under a rendition's key or a source's digest."""
        self._held[name] = (time.monotonic() + self.LIFETIME_S, refusal)
        self._held.move_to_end(name)
        while len(self._held) > self.MOST:
            self._held.popitem(last=False)

    def check(self, name: str) -> None:
        """Raise the refusal remembered under this name, if there is one."""
        until, refusal = self._held.get(name, (0.0, None))
        if refusal is None:
            return
        if until < time.monotonic():
            del self._held[name]
            return
        raise copy.copy(refusal)  # a raised error keeps the frames it went through
