"""Which addresses a webhook may reach: the public Internet, nothing of what is near this server.

What is checked is the address that is connected to, not the name: see
`metadata_service.webhooks.transport`.
"""

from __future__ import annotations

import ipaddress
from typing import TypeAlias

__all__ = ["Address", "parse_address", "refusal"]

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

#: IPv6 addresses that lead to an IPv4 address: where in the 128 bits that one is (RFC 6052, 3056).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
#: Never public, whatever the interpreter's version says (RFC 6598, 2544, 3879).
_NEVER = tuple(
    ipaddress.ip_network(text) for text in ("100.64.0.0/10", "198.18.0.0/15", "fec0::/10")
)


def parse_address(text: str) -> Address | None:
    """Return the address that `text` is, None if it is a name. Zones (`%eth0`) are cut off."""
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def refusal(address: Address) -> str | None:
    """Return why nothing is sent to `address`, or None: it is public."""
    inner = _inside(address)
    if inner is not None:
        why = refusal(inner)
        return f"{why} (inside {address})" if why else None
    kinds = (
        (address.is_loopback, "this machine itself"),
        (address.is_unspecified, "no address"),
        (address.is_link_local, "link-local, where clouds keep their metadata"),
        (address.is_multicast, "multicast"),
        (address.is_private, "private"),
        (any(_in(address, network) for network in _NEVER), "shared or reserved"),
        (address.is_reserved or not address.is_global, "reserved"),
    )
    for holds, name in kinds:
        if holds:
            return f"{address} is {name}"
    return None


def _inside(address: Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 address leads to."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    embedded = any(address in network for network in (_NAT64, _NAT64_LOCAL, _COMPATIBLE))
    if embedded and int(address) > 1:  # :: and ::1 are themselves
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _in(address: Address, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    return address.version == network.version and address in network
