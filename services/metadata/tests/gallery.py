"""Many pictures about which everything is known, made by chance from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgspec
from imagesystem.events import (
    Analysis,
    Annotated,
    Box,
    Colour,
    EmbeddingInferred,
    Exif,
    Face,
    FacesInferred,
    Fact,
    FoundObject,
    Gps,
    Label,
    LabelsInferred,
    ObjectsInferred,
    Rectangle,
    TextInferred,
)
from imagesystem.events.results import Embedding, Faces, Labels, Objects, Text
from metadata_service.documents import Document
from metadata_service.folding import fold

from services.metadata.tests.samples import analysis, at, image_id, inferred, planned, uploaded

TAGS = ("cat", "sofa", "private", "two words", "käse", "日本")
LABELS = ("cat", "dog", "beach", "night", "indoor", "iPhone screenshot")
THINGS = ("person", "cat", "car", "qr_code")
WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "cat",
    "café",
    "menu",
    "2024",
    "total",
]
COLOURS = {"teal": "#008080", "gold": "#ffd700", "navy": "#000080", "salmon": "#fa8072"}
CAMERAS = (("Canon", "Canon EOS R5"), ("NIKON CORPORATION", "D850"), (None, None))
BOX = Box(x=0, y=0, width=1, height=1, relative=Rectangle(x=0, y=0, width=0.1, height=0.1))


def facts(number: int) -> Iterator[Fact]:
    """Yield what is said about picture `number`, the same each time."""
    chance = random.Random(number)
    name = image_id(number)
    make, model = chance.choice(CAMERAS)
    place = Gps(latitude=chance.uniform(-85, 85), longitude=chance.uniform(-180, 180))
    near = Gps(latitude=52.5 + chance.gauss(0, 0.2), longitude=13.4 + chance.gauss(0, 0.3))
    edge = Gps(latitude=chance.gauss(0, 2), longitude=chance.choice((-179.9, 179.9)))
    taken = f"{chance.randrange(2020, 2026)}-0{chance.randrange(1, 9)}-07T12:00:00"
    exif = Exif(
        orientation=chance.choice((1, 6)),
        make=make,
        model=model,
        lens=chance.choice((None, "RF 24-70 mm")),
        taken_at=chance.choice((None, taken)),
        iso=chance.choice((None, 100, 400)),
        f_number=chance.choice((None, 1.8, 4.0)),
        gps=chance.choice((None, place, near, edge)),
    )
    yield uploaded(
        name,
        minutes=number // 3,
        filename=f"{chance.choice(('IMG', 'My Cat', 'scan'))}_{number}.jpg",
        media_type=chance.choice(("image/jpeg", "image/png", "image/webp")),
        width=chance.choice((320, 640, 4000)),
        height=chance.choice((320, 480, 3000)),
        size_bytes=chance.randrange(100, 10**6),
        owner=chance.choice(("ann", "bob", "public")),
        tags=chance.sample(TAGS, chance.randrange(3)),
        exif=exif,
    )
    yield planned(name, tasks=("analysis", "labels"))
    if chance.random() < 0.1:
        return
    yield _analysed(number, chance)
    said = {"image_id": name, "model": "m", "model_version": "1", "duration_ms": 1.0}
    said["inferred_at"] = at(2)
    labels = [
        Label(name=each, confidence=round(chance.random(), 3), source="derived")
        for each in chance.sample(LABELS, chance.randrange(4))
    ]
    yield LabelsInferred(**said, task="labels", result=Labels(labels=labels))
    things = [
        FoundObject(label=chance.choice(THINGS), confidence=0.9, box=BOX, detector="x")
        for _ in range(chance.randrange(6))
    ]
    yield ObjectsInferred(**said, task="objects", result=Objects(width=9, height=9, objects=things))
    faces = [Face(box=BOX, confidence=0.9) for _ in range(chance.choice((0, 0, 1, 2, 11)))]
    yield FacesInferred(**said, task="faces", result=Faces(width=9, height=9, faces=faces))
    if chance.random() < 0.5:
        text = " ".join(chance.choices(WORDS, k=chance.randrange(1, 30)))
        yield TextInferred(
            **said,
            task="text",
            result=Text(width=9, height=9, text=text, lines=[], languages=["en"]),
        )
    yield EmbeddingInferred(
        **said, task="embedding", result=Embedding(dimensions=4, vector=bytes(16))
    )
    if chance.random() < 0.5:
        yield Annotated(
            image_id=name,
            tags=chance.sample(TAGS, chance.randrange(4)),
            caption=chance.choice((None, "A lazy cat on the sofa", "Käse im Café, 2024")),
            rating=chance.choice((None, 1, 5)),
            favourite=chance.random() < 0.3,
            annotated_at=at(4),
        )


def _analysed(number: int, chance: random.Random) -> Fact:
    fact = inferred(image_id(number))
    result: Analysis = msgspec.structs.replace(
        analysis(kind=chance.choice(("photo", "graphic", "document"))),
        phash=f"{chance.getrandbits(64):016x}",
        sharpness=round(chance.uniform(0, 500), 1),
        colours=[
            Colour(name=name, hex=COLOURS[name], share=0.3)
            for name in chance.sample(sorted(COLOURS), chance.randrange(1, 4))
        ],
    )
    return msgspec.structs.replace(fact, result=result)


def picture(number: int) -> Document:
    """Return the document of picture `number`."""
    made: Document | None = None
    for sequence, fact in enumerate(facts(number), start=number * 20 + 1):
        made = fold(made, fact, sequence) or made
    assert made is not None
    return made
