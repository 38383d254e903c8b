"""The process of the inference service: settings → app → server."""

from __future__ import annotations


def main() -> None:
    """Serve until told to stop."""
    # Imported here: worker processes import this module too, and none of them serves.
    from imagesystem.server import run  # noqa: PLC0415

    from inference_service.app import create_app  # noqa: PLC0415
    from inference_service.settings import Settings  # noqa: PLC0415

    run("inference", Settings, create_app)


if __name__ == "__main__":
    main()
