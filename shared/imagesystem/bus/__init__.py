"""Events in and out: the port, its JetStream implementation and its in-memory twin."""

from imagesystem.bus.port import (
    Bus,
    Consumption,
    GaveUp,
    Handler,
    Received,
    Said,
    Stretch,
    Unread,
)

__all__ = [
    "Bus",
    "Consumption",
    "GaveUp",
    "Handler",
    "Received",
    "Said",
    "Stretch",
    "Unread",
]
