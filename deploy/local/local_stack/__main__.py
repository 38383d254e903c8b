"""`python -m local_stack`: the same as `image-system`."""

from __future__ import annotations

from local_stack.cli import main

if __name__ == "__main__":
    main()
