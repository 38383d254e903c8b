"""Freeze the event schemas as they are: `just accept-events`, after fields were added.

What is frozen is what `test_event_compatibility.py` holds the code to. A change that would break
a reader is refused: it needs a new version of the subject.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from imagesystem import asyncapi

from tests.contract.compatibility import breaks

FROZEN = Path(__file__).parent / "events" / "frozen"


def main() -> int:
    """Write the frozen schemas; 1 and nothing written if that would break a reader."""
    refused, changed = [], {}
    for entry in asyncapi.entries():
        path, schema = FROZEN / f"{entry.type}.json", asyncapi.schema(entry)
        old = json.loads(path.read_text()) if path.exists() else None
        if old is not None:
            refused += [f"{entry.type}: {line}" for line in breaks(old, schema)]
        if old != schema:
            changed[path] = schema
    for line in refused:
        print(line, file=sys.stderr)
    if refused:
        print("nothing was written: this needs a new version of the subject", file=sys.stderr)
        return 1
    FROZEN.mkdir(parents=True, exist_ok=True)
    for path, schema in changed.items():
        path.write_text(json.dumps(schema, indent=2) + "\n")
        print(f"wrote {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
