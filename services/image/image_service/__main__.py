"""The process: settings, app, server."""

from __future__ import annotations


def main() -> None:
    """Serve until told to stop."""
    # Worker processes import this module too: without the web they take 36 MB each, not 61,
    # and are there sooner.
    from imagesystem import server  # noqa: PLC0415

    from image_service import heap  # noqa: PLC0415
    from image_service.app import create_app  # noqa: PLC0415
    from image_service.settings import Settings  # noqa: PLC0415

    # Originals pass through here: large ones would leave holes that nothing else fills.
    heap.keep(8 * 1024 * 1024, largest=1024 * 1024)
    server.run("image", Settings, create_app)


if __name__ == "__main__":
    main()
