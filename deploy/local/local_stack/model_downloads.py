"""Downloading a model's files: resumed where they broke off, and whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import httpx
from imagesystem.models import BadModel, ModelFile, ModelSpec, Shelf, digest_of

from local_stack.errors import StackError

__all__ = ["Progress", "pull"]

#: Told of a file's bytes: how many are there, and how many there will be (None: not known).
Progress = Callable[[ModelFile, int, int | None], None]

#: Seconds without a byte; redirects that are followed; tries in a row that bring nothing new.
IDLE_S, MOST_REDIRECTS, TRIES = 30.0, 5, 3


def pull(shelf: Shelf, spec: ModelSpec, progress: Progress) -> None:
    """Download a model's files and put it on the shelf, once all have the digests they should.

    What was downloaded before stays and is not downloaded again. Raises `StackError` in one line.
    """
    try:
        with httpx.Client(
            follow_redirects=True, max_redirects=MOST_REDIRECTS, timeout=IDLE_S
        ) as client:
            places = {file.name: _file(client, shelf, spec, file, progress) for file in spec.files}
        shelf.install(spec, places)
    except BadModel as error:
        raise StackError(error.message) from error
    except OSError as error:
        raise StackError(f"cannot write to {shelf.folder} ({error.strerror})") from error


def _file(
    client: httpx.Client, shelf: Shelf, spec: ModelSpec, file: ModelFile, progress: Progress
) -> Path:
    if not file.url:
        raise StackError(f"{spec.name}: nobody says where {file.name} is; add it with `models add`")
    path = shelf.unfinished(file)
    if path.is_file() and path.stat().st_size and digest_of(path) == file.sha256:
        progress(file, path.stat().st_size, path.stat().st_size)
        return path
    _download(client, spec, file, path, progress)
    actual = digest_of(path)
    if actual != file.sha256:
        path.unlink()
        raise StackError(
            f"{spec.name}: {file.url} is not the file that it should be: its SHA-256 is {actual}, "
            f"not {file.sha256}; nothing was installed"
        )
    return path


def _download(
    client: httpx.Client, spec: ModelSpec, file: ModelFile, path: Path, progress: Progress
) -> None:
    """Bring all bytes of a file, going on where the connection broke."""
    tries = 0
    while True:
        before = path.stat().st_size if path.exists() else 0
        try:
            _continue(client, file, path, before, progress)
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            raise StackError(f"{spec.name}: {file.url} answers {status}") from error
        except httpx.TooManyRedirects as error:
            raise StackError(
                f"{spec.name}: {file.url} leads nowhere: too many redirects"
            ) from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            grown = path.exists() and path.stat().st_size > before
            tries = 0 if grown else tries + 1
            if tries >= TRIES:
                raise StackError(
                    f"{spec.name}: {file.url} cannot be downloaded "
                    f"({type(error).__name__}: {error}); what is there stays: try again later"
                ) from error
        else:
            return


def _continue(
    client: httpx.Client, file: ModelFile, path: Path, have: int, progress: Progress
) -> None:
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with client.stream("GET", file.url, headers=headers) as answer:
        if answer.status_code == 416:  # it has no more than what is there: the digest will tell
            return
        answer.raise_for_status()
        resumed = answer.status_code == 206 and _starts_at(answer, have)
        if not resumed:
            have = 0
        length = answer.headers.get("content-length", "")
        total = have + int(length) if length.isdigit() else file.bytes or None
        with path.open("ab" if resumed else "wb") as target:
            for piece in answer.iter_raw():  # as it comes: what broke off is kept to the last byte
                target.write(piece)
                have += len(piece)
                if file.bytes and have > file.bytes:
                    raise BadModel(
                        f"{file.url} has more than the {file.bytes} bytes that it should have"
                    )
                progress(file, have, total)
    if total is not None and have < total:
        raise httpx.RemoteProtocolError(f"{have} of {total} bytes came")


def _starts_at(answer: httpx.Response, have: int) -> bool:
    with contextlib.suppress(ValueError):
        unit, _, rest = answer.headers.get("content-range", "").partition(" ")
        return unit == "bytes" and int(rest.partition("-")[0]) == have
    return False
