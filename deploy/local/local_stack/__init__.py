"""The embedded stack: the whole system as processes of one machine, without Docker.

`Stack` is what `image-system up` runs; tests use it the same way:

    async with Stack(folder, port=0, nats_port=0) as stack:
        ...  # stack.url, stack.subscriber_url, stack.kill("inference")
"""

from __future__ import annotations

from local_stack.errors import StackError
from local_stack.parts import Part
from local_stack.stack import Stack
from local_stack.state import PartState, StackState

__all__ = ["Part", "PartState", "Stack", "StackError", "StackState"]
