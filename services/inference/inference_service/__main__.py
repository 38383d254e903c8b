"""The process of the inference service: settings → app → server."""

from __future__ import annotations

from imagesystem.server import run

from inference_service.app import create_app
from inference_service.settings import Settings


def main() -> None:
    """Serve until told to stop."""
    run("inference", Settings, create_app)


if __name__ == "__main__":
    main()
