"""Every error the system raises on purpose, and what it means for whoever asked.

::

    ImageSystemError
    ├── Transient            try again later; the message goes back with a delay
    │   ├── Unavailable      a dependency is down: nobody's fault, no attempt is burned
    │   ├── StoreFull        the bucket or the stream has reached its limit
    │   └── WrongSequence    somebody else wrote first (optimistic concurrency)
    ├── Permanent            trying again cannot help; the message becomes a dead letter
    │   ├── UndecodableEvent     a body or a subject that the contract does not know
    │   ├── ImageDeleted         the image's tombstone is there: there is nothing left to do
    │   └── ObjectMissing        no object of that name in the bucket
    └── Rejected             the client's fault: an HTTP status and a stable code

They are mapped in exactly two places: the HTTP plugin (`imagesystem.web`) and the consumer
loop (`imagesystem.bus`).
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ImageDeleted",
    "ImageSystemError",
    "ObjectMissing",
    "Permanent",
    "Rejected",
    "StoreFull",
    "Transient",
    "Unavailable",
    "UndecodableEvent",
    "WrongSequence",
]


class ImageSystemError(Exception):
    """The root. `code` is stable and for programs; `message` is one line for people."""

    code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors cross from worker processes by pickle, whatever their constructor takes.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(
    kind: type[ImageSystemError], args: tuple[Any, ...], state: dict[str, Any]
) -> ImageSystemError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class Transient(ImageSystemError):
    """It may work later."""

    code = "transient"


class Unavailable(Transient):
    """A dependency (`dependency`: nats, mongodb, objects, …) does not answer."""

    code = "unavailable"

    def __init__(self, dependency: str, message: str = "") -> None:
        super().__init__(message or f"{dependency} is not available")
        self.dependency = dependency


class Unheard(Unavailable):
    """Nobody was there to hear the request: to ask again repeats nothing."""


class StoreFull(Transient):
    """The bucket or stream has reached its limit of bytes; room may come back."""

    code = "store_full"


class WrongSequence(Transient):
    """The subject's last sequence is not the expected one: somebody else wrote first."""

    code = "wrong_sequence"


class Permanent(ImageSystemError):
    """It will never work."""

    code = "permanent"


class UndecodableEvent(Permanent):
    """The contract knows no such subject, or the body is not what the contract says."""

    code = "undecodable_event"


class ImageDeleted(Permanent):
    """The image has a tombstone; facts about it are refused."""

    code = "image_deleted"


class ObjectMissing(Permanent):
    """The bucket holds no object of that name (or not completely)."""

    code = "object_missing"


class Rejected(ImageSystemError):
    """The client asked for something it cannot have.

    `status` is the HTTP status, `code` the stable name of the reason. For a limit, `limit` is
    its name (as in the settings), `allowed` its value and `actual` what was found. `position`:
    the character of a text (from 0) at which it goes wrong. `headers` go with the answer
    (`Retry-After`, `Content-Range`, …).
    """

    code = "rejected"

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        limit: str | None = None,
        allowed: int | str | None = None,
        actual: int | str | None = None,
        position: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.limit = limit
        self.allowed = allowed
        self.actual = actual
        self.position = position
        self.headers = headers or {}
