"""Models that are files: what they are, which may be downloaded, and the folder they lie in."""

from imagesystem.models.catalogue import catalogue, parse
from imagesystem.models.shelf import IN_USE_FILE, Shelf
from imagesystem.models.specs import (
    KINDS,
    BadModel,
    InputSpec,
    Kind,
    ModelFile,
    ModelSpec,
    check,
    class_names,
    digest_of,
)

__all__ = [
    "IN_USE_FILE",
    "KINDS",
    "BadModel",
    "InputSpec",
    "Kind",
    "ModelFile",
    "ModelSpec",
    "Shelf",
    "catalogue",
    "check",
    "class_names",
    "digest_of",
    "parse",
]
