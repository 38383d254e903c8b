"""The process: settings, app, server."""

from __future__ import annotations

from imagesystem import server

from augmentation_service.app import create_app
from augmentation_service.settings import Settings


def main() -> None:
    """Serve until told to stop."""
    server.run("augmentation", Settings, create_app)


if __name__ == "__main__":
    main()
