"""The process: settings, app, server."""

from __future__ import annotations

from imagesystem import server

from registry_service.app import create_app
from registry_service.settings import Settings


def main() -> None:
    """Serve until told to stop."""
    server.run("registry", Settings, create_app)


if __name__ == "__main__":
    main()
