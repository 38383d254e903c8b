"""What a client may ask of a rendition.

`table` declares every parameter once; `parse` turns text into what is `Wanted`, `resolve` turns
that into a `Recipe`: the one normal form of everything that asks for the same rendition.
"""

from image_service.parameters.interpreting import Interpreter
from image_service.parameters.parsing import Wanted, conflict, parse, read
from image_service.parameters.resolving import resolve
from image_service.parameters.table import (
    ACCESS,
    AUTO,
    BY_NAME,
    GRAVITIES,
    MAX_SIDE,
    PARAMETERS,
    Parameter,
)
from image_service.recipes import (
    Area,
    Label,
    Recipe,
    Redaction,
    Source,
    Subject,
    Watermark,
)

__all__ = [
    "ACCESS",
    "AUTO",
    "BY_NAME",
    "GRAVITIES",
    "MAX_SIDE",
    "PARAMETERS",
    "Area",
    "Interpreter",
    "Label",
    "Parameter",
    "Recipe",
    "Redaction",
    "Source",
    "Subject",
    "Wanted",
    "Watermark",
    "conflict",
    "parse",
    "read",
    "resolve",
]
