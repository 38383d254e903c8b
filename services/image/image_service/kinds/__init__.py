"""Kinds of values: how each is read from text, what it allows, and how OpenAPI says so.

`value` returns what a text says, or None if the text says nothing that is allowed. Texts that
mean the same give equal values ("5" and "5.0" of a `Number`, "fff" and "white" of a `Colour`).
"""

from image_service.kinds.kind import Either, Kind, Value
from image_service.kinds.numbers import Integer, Number, Numbers, Ratio, Switch
from image_service.kinds.shapes import Colours, Region, Regions
from image_service.kinds.words import Choice, Flag, ImageId, Line, Text, Words

__all__ = [
    "Choice",
    "Colours",
    "Either",
    "Flag",
    "ImageId",
    "Integer",
    "Kind",
    "Line",
    "Number",
    "Numbers",
    "Ratio",
    "Region",
    "Regions",
    "Switch",
    "Text",
    "Value",
    "Words",
]
