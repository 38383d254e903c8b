"""`python -m inference_service.networks.trial FOLDER MODEL`: whether a model can be used.

For whoever installs models, in a process of its own: a model that crashes takes nothing along.
Prints one line of JSON; the exit status is 1 if the model is no good.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
from imagesystem.errors import ImageSystemError
from imagesystem.models import Shelf
from imagesystem.workers import usable_cores

from inference_service.networks.host import Host, HostLimits
from inference_service.networks.network import try_out

__all__ = ["Outcome", "main"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it: the `tasks` it answered, or what is wrong."""

    tasks: list[str] = []
    error: str = ""


def main() -> None:
    """Try the model and say what became of it."""
    folder, name = Path(sys.argv[1]), sys.argv[2]
    try:
        host = Host(Shelf(folder), HostLimits(threads=usable_cores()))
        outcome = Outcome(tasks=try_out(folder, name, host))
    except ImageSystemError as error:
        outcome = Outcome(error=error.message)
    print(msgspec.json.encode(outcome).decode())  # noqa: T201  that is its answer
    raise SystemExit(1 if outcome.error else 0)


if __name__ == "__main__":
    main()
