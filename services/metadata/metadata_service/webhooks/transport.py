"""HTTP to addresses that were checked: what is connected to is what was looked at.

A name is resolved once for every request, each of its addresses is checked, and the connection
goes to one of them by number; the name stays in `Host`, in SNI and in the check of the
certificate. Nothing is kept open between requests, no redirect is followed, no proxy is used. So
a name that resolves to something else the second time, or a redirect, leads nowhere.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import httpx

from metadata_service.webhooks.addresses import Address, parse_address, refusal

__all__ = ["AddressRefused", "CheckedTransport", "Resolver", "UnknownHost", "resolve"]

#: Returns the addresses of a host name; raises `OSError` when there are none.
Resolver: TypeAlias = Callable[[str, int], Awaitable[list[Address]]]


class AddressRefused(httpx.TransportError):
    """The host is at an address that nothing is sent to."""


class UnknownHost(httpx.ConnectError):
    """The host's name has no address."""


async def resolve(host: str, port: int) -> list[Address]:
    """Ask the system for the addresses of a name."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
    )
    parsed = (parse_address(str(entry[4][0])) for entry in found)
    return list(dict.fromkeys(address for address in parsed if address is not None))


class CheckedTransport(httpx.AsyncBaseTransport):
    """Sends each request on a connection of its own, to a checked address."""

    def __init__(
        self,
        *,
        allow_private: bool,
        resolver: Resolver = resolve,
        certificates: ssl.SSLContext | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._resolver = resolver
        self._certificates = certificates
        self._opened: httpx.AsyncHTTPTransport | None = None

    @property
    def _inner(self) -> httpx.AsyncHTTPTransport:
        """Made when something is sent first: reading all authorities takes time and memory."""
        if self._opened is None:
            self._opened = httpx.AsyncHTTPTransport(
                verify=self._certificates or httpx.create_ssl_context(trust_env=False),
                trust_env=False,
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            )
        return self._opened

    async def addresses(self, url: httpx.URL) -> list[Address]:
        """Return the addresses of the URL's host; raises `AddressRefused` or `UnknownHost`.

        One that may not be reached is enough to refuse: which one is used is not chosen here.
        """
        host = _host(url)
        literal = parse_address(host)
        if literal is not None:
            found = [literal]
        else:
            try:
                found = await self._resolver(host, url.port or 443)
            except (OSError, UnicodeError) as error:
                raise UnknownHost(f"{host} has no address: {error}") from error
        if not found:
            raise UnknownHost(f"{host} has no address")
        if not self._allow_private:
            for address in found:
                if (why := refusal(address)) is not None:
                    raise AddressRefused(f"{host}: {why}: WEBHOOK_ALLOW_PRIVATE is not set")
        return found

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Resolve, check, connect to the first address that answers, by number."""
        host, failed = _host(request.url), httpx.ConnectError("not tried")
        for address in await self.addresses(request.url):
            pinned = httpx.Request(
                request.method,
                request.url.copy_with(host=str(address)),
                headers=request.headers,  # Host is the name
                stream=request.stream,
                extensions=request.extensions | {"sni_hostname": host},
            )
            try:
                return await self._inner.handle_async_request(pinned)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                # Nothing was sent yet; a name may have an address of a kind that is not routed.
                failed = httpx.ConnectError(f"{host} at {address}: {error or type(error).__name__}")
        raise failed

    async def aclose(self) -> None:
        """Close what is open."""
        if self._opened is not None:
            await self._opened.aclose()


def _host(url: httpx.URL) -> str:
    """Return the host as it goes over the wire: names in other scripts encoded (IDNA)."""
    return url.raw_host.decode("ascii")
