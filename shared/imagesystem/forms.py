"""multipart/form-data (RFC 7578) read as a stream: no part is ever held as a whole.

(Litestar reads the whole form before the handler runs and reports a form that is too large as a
malformed one.) python-multipart finds the boundaries; names and filenames are read here, because
it takes no filename in UTF-8 or with `filename*`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from urllib.parse import unquote_to_bytes

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from imagesystem.bodies import BodyLimit
from imagesystem.errors import Rejected

__all__ = ["FILE_FIELDS", "Part", "boundary_of", "decode", "one_file", "read"]

#: What the field with a picture may be called.
FILE_FIELDS = ("file", "image")

MAX_HEADERS = 16
#: A header with a filename of 10 kB, percent-encoded, is still read.
MAX_HEADER_BYTES = 64 * 1024
MAX_BOUNDARY_BYTES = 70
#: A quoted value that is never closed takes the rest: each byte is looked at once, whatever comes.
_PARAMETER = re.compile(
    rb';\s*([\w!#$%&\'*+\-.^`|~]++)\s*=\s*(?:"((?:[^"\\]|\\.|\\\Z)*+)(?:"|\Z)|([^;"][^;]*+|))',
    re.DOTALL,
)
_EXTENDED = re.compile(rb"([\w\-]+)'[\w\-]*'(.*)", re.DOTALL)


class Part(msgspec.Struct, frozen=True):
    """The head of a part: its field's name, and the filename if it has one."""

    name: str
    filename: str | None


def decode(raw: bytes) -> str:
    """Return the text of a header value: UTF-8, and Latin-1 for what is not (RFC 7578, 5.1)."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _malformed(what: str) -> Rejected:
    return Rejected(400, "malformed_multipart", f"the form cannot be read: {what}")


def boundary_of(content_type: str) -> bytes:
    """Return the boundary in a Content-Type.

    Raises `Rejected` 415 `not_a_form` if it is none of multipart/form-data, 400
    `malformed_multipart` if it has no boundary.
    """
    raw = content_type.encode("latin-1", "replace")
    if raw.split(b";")[0].strip().lower() != b"multipart/form-data":
        raise Rejected(
            415,
            "not_a_form",
            "send multipart/form-data with a field `file`",
            headers={"accept-post": "multipart/form-data"},
        )
    boundary = _parameters(raw).get(b"boundary", b"").strip()
    if not 0 < len(boundary) <= MAX_BOUNDARY_BYTES:
        raise _malformed("no boundary of 1 to 70 characters")
    return boundary


class _Events:
    """Collects what the parser calls back with, in order."""

    def __init__(self, boundary: bytes, max_parts: int) -> None:
        self.found: list[Part | bytes] = []
        self.complete = False
        self._parts_left = max_parts
        self._max_parts = max_parts
        self._name = self._value = self._disposition = b""
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_end": self._on_end,
            },
            max_header_count=MAX_HEADERS,
            max_header_size=MAX_HEADER_BYTES,
        )

    def feed(self, data: bytes) -> list[Part | bytes]:
        """Return what `data` brings: heads of parts, and pieces of the part begun last."""
        self.found = []
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _malformed(str(error)) from error
        return self.found

    def _on_part_begin(self) -> None:
        self._parts_left -= 1
        if self._parts_left < 0:
            raise Rejected(
                413,
                "too_many_parts",
                "the form has too many parts",
                limit="parts",
                allowed=self._max_parts,
                actual=self._max_parts + 1,
            )
        self._disposition = b""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _on_headers_finished(self) -> None:
        given = _parameters(self._disposition)
        if b"name" not in given:
            raise _malformed("a part without a name")
        filename = given.get(b"filename*", given.get(b"filename"))
        self.found.append(
            Part(decode(given[b"name"]), None if filename is None else decode(filename))
        )

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.found.append(data[start:end])

    def _on_end(self) -> None:
        self.complete = True


def _parameters(header: bytes) -> dict[bytes, bytes]:
    """Return the parameters of a header: as browsers (%22), curl (\\") and RFC 5987 write them."""
    found: dict[bytes, bytes] = {}
    for match in _PARAMETER.finditer(header):
        key = match[1].lower()
        if match[2] is None:
            value = match[3].strip()
        else:
            value = match[2].replace(b'\\"', b'"').replace(b"\\\\", b"\\").replace(b"%22", b'"')
        if key.endswith(b"*") and (extended := _EXTENDED.fullmatch(value)):
            value = unquote_to_bytes(extended[2])
        found.setdefault(key, value)
    return found


async def read(
    body: AsyncIterator[bytes], boundary: bytes, *, max_parts: int
) -> AsyncIterator[Part | bytes]:
    """Yield each part's head, then its bytes in pieces.

    Raises `Rejected` 400 `malformed_multipart` (also when the closing boundary is missing) and
    413 `too_many_parts`.
    """
    events = _Events(boundary, max_parts)
    async for data in body:
        for found in events.feed(data):
            yield found
    if not events.complete:
        raise _malformed("the closing boundary is missing")


async def one_file(
    body: AsyncIterator[bytes], content_type: str, limit: BodyLimit
) -> AsyncIterator[bytes]:
    """Yield the bytes of the one picture that a form is to have, at most `limit.allowed`.

    Raises as `boundary_of` and `read` do, and `Rejected`: 400 `missing_file`, `too_many_files`,
    `unknown_field`, 413 `body_too_large`.
    """
    files = size = 0
    async for found in read(body, boundary_of(content_type), max_parts=len(FILE_FIELDS)):
        if isinstance(found, bytes):
            size += len(found)
            if size > limit.allowed:
                raise limit.refusal(size)
            yield found
            continue
        if found.name not in FILE_FIELDS:
            raise Rejected(
                400,
                "unknown_field",
                f"there is no field {found.name[:100]!r}; send file (or image)",
            )
        files += 1
        if files > 1:
            raise Rejected(
                400, "too_many_files", "send one picture at a time", allowed=1, actual=files
            )
    if not files:
        raise Rejected(
            400, "missing_file", "the form has no field `file` (or `image`) with a picture"
        )
