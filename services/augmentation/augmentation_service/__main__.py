"""The process: settings, app, server; or, as `augment …`, a folder of pictures and no server."""

from __future__ import annotations

import sys

from imagesystem import server

from augmentation_service.settings import Settings


def main() -> None:
    """Serve until told to stop; or augment a folder."""
    if sys.argv[1:2] == ["augment"]:
        from augmentation_service.folders import command  # noqa: PLC0415  needs no server's parts

        sys.exit(command.main(sys.argv[2:]))
    from augmentation_service.app import create_app  # noqa: PLC0415  needs nothing of the above

    server.run("augmentation", Settings, create_app)


if __name__ == "__main__":
    main()
