"""One attempt: a signed CloudEvent to an endpoint, and what came of it."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Any

import httpx
import msgspec
from imagesystem.errors import Rejected

from metadata_service.feeds.cloudevents import CONTENT_TYPE
from metadata_service.measures import Measures
from metadata_service.webhooks.addresses import parse_address
from metadata_service.webhooks.signing import signed_headers
from metadata_service.webhooks.transport import AddressRefused, CheckedTransport, UnknownHost

__all__ = ["Answer", "Endpoints", "parse_url", "retry_after"]

SCHEMES = ("https", "http")
MAX_URL = 2000
#: A name that DNS can know, as it goes over the wire (RFC 1035; underscores are in use).
NAME = re.compile(rb"(?!.{254})([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*([a-z0-9_-]{1,63})\.?")
#: An endpoint may ask for no longer a rest than this.
LONGEST_REST_S = 24 * 3600.0


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of an attempt: a status code, or the error that kept it from one.

    `retry_after_s`: the rest that the endpoint asked for.
    """

    delivered: bool
    status_code: int | None = None
    error: str | None = None
    duration_ms: float
    retry_after_s: float | None = None


def parse_url(text: str) -> httpx.URL:
    """Return the URL of an endpoint; raises `Rejected` 400 `invalid_url`."""
    try:
        url = httpx.URL(text.strip())
        host = url.host  # decoded, which fails for what only looks encoded
    except (httpx.InvalidURL, UnicodeError) as error:
        raise Rejected(400, "invalid_url", f"url: {error}") from error
    problems = (
        (len(text) > MAX_URL, f"has {len(text)} characters, {MAX_URL} are allowed"),
        (url.scheme not in SCHEMES, f"must begin with {' or '.join(SCHEMES)}://"),
        (not host, "names no host"),
        (
            parse_address(host) is None and not NAME.fullmatch(url.raw_host),
            f"names no possible host: {host[:100]!r}",
        ),
        (url.port is not None and not 0 < url.port < 65536, "names no port from 1 to 65535"),
        (bool(url.userinfo), "must not contain a user or password"),
        (bool(url.fragment), "must not contain a fragment"),
    )
    for holds, problem in problems:
        if holds:
            raise Rejected(400, "invalid_url", f"url {problem}")
    return url


class Endpoints:
    """Speaks HTTP to endpoints: bounded in time, and in what is read of an answer: its head."""

    def __init__(
        self, transport: CheckedTransport, measures: Measures, *, timeout_s: float
    ) -> None:
        self._transport = transport
        self._measures = measures
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, 5.0)),
            follow_redirects=False,
            trust_env=False,
            headers={"user-agent": f"image-system/{version('metadata-service')}"},
        )

    async def check(self, url: httpx.URL) -> None:
        """Raise `Rejected` 400 `address_refused` if nothing may be sent there.

        A name without an address is no reason: it may get one.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._transport.addresses(url)
        except AddressRefused as error:
            raise Rejected(400, "address_refused", f"url: {error}") from error
        except (UnknownHost, TimeoutError):
            return

    async def send(self, url: str, secret: str, message_id: str, body: bytes) -> Answer:
        """Send a CloudEvent, and return what came of it; raises nothing that a server can cause."""
        headers = {"content-type": CONTENT_TYPE} | signed_headers(
            secret, message_id, int(time.time()), body
        )
        started = time.perf_counter()
        given: dict[str, Any] = {"delivered": False}
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                # The body of the answer is not read: nobody needs it, and it may have no end.
                self._client.stream("POST", url, content=body, headers=headers) as response,
            ):
                given = _outcome(response)
        except TimeoutError:
            given["error"] = f"no answer within {self._timeout_s:g} s"
        except httpx.HTTPError as error:
            given["error"] = f"{type(error).__name__}: {error}"[:500]
        except (httpx.InvalidURL, ValueError, OSError) as error:
            given["error"] = f"{type(error).__name__}: {error}"[:500]
        seconds = time.perf_counter() - started
        self._measures.webhook_seconds.observe(seconds)
        return Answer(**given, duration_ms=round(seconds * 1000, 1))

    async def close(self) -> None:
        """Close what is open."""
        await self._client.aclose()


def _outcome(response: httpx.Response) -> dict[str, Any]:
    status = response.status_code
    error = None
    if response.is_redirect:
        error = "redirects are not followed: register the address that it leads to"
    elif not response.is_success:
        error = f"the endpoint answered {status}"
    rest = None if response.is_success else retry_after(response.headers.get("retry-after", ""))
    return {
        "delivered": response.is_success,
        "status_code": status,
        "error": error,
        "retry_after_s": rest,
    }


def retry_after(text: str) -> float | None:
    """Return the seconds in a `Retry-After` (RFC 9110: seconds or a date), None if it is none."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return min(float(text), LONGEST_REST_S)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - datetime.now(UTC)).total_seconds(), 0.0), LONGEST_REST_S)
