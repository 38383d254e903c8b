"""The services as the generators meet them: by name, through their public modules."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from imagesystem.memory import MemoryPlatform
from imagesystem.settings import ServiceSettings
from imagesystem.topology import SERVICES
from litestar import Litestar

__all__ = ["SERVICES", "app_of", "measures_of", "settings_of"]


def settings_of(service: str) -> type[ServiceSettings]:
    """Return the service's settings struct."""
    kind: type[ServiceSettings] = import_module(f"{service}_service.settings").Settings
    return kind


def app_of(service: str) -> Litestar:
    """Return the service's app, wired to nothing."""
    app: Litestar = import_module(f"{service}_service.app").create_app(
        settings_of(service)(), MemoryPlatform().connect
    )
    return app


def measures_of(service: str) -> type[Any] | None:
    """Return the class of the service's own metrics, if it has any."""
    name = f"{service}_service.measures"
    return import_module(name).Measures if find_spec(name) else None
