"""Facts about one image, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256 as _sha256
from struct import pack

from imagesystem.events import (
    Analysis,
    AnalysisInferred,
    Annotated,
    Augmented,
    Colour,
    Composition,
    Deleted,
    Embedding,
    EmbeddingInferred,
    Exif,
    Failed,
    Kind,
    Planned,
    Point,
    Texture,
    Uploaded,
)
from msgspec.structs import replace

IMAGE = "0f1e2d3c-4b5a-8978-8796-a5b4c3d2e1f0"
START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def image_id(number: int) -> str:
    return f"00000000-0000-8000-8000-{number:012x}"


def digest(image_id: str) -> str:
    """Return what its bytes might have: pictures are no duplicates of each other."""
    return _sha256(image_id.encode()).hexdigest()


def uploaded(
    image_id: str = IMAGE,
    *,
    minutes: float = 0,
    filename: str = "cat.jpg",
    media_type: str = "image/jpeg",
    width: int = 640,
    height: int = 480,
    size_bytes: int = 1000,
    owner: str = "public",
    tags: list[str] | None = None,
    exif: Exif | None = None,
    sha256: str | None = None,
) -> Uploaded:
    return Uploaded(
        image_id=image_id,
        filename=filename,
        media_type=media_type,
        size_bytes=size_bytes,
        width=width,
        height=height,
        frames=1,
        sha256=sha256 or digest(image_id),
        uploaded_at=at(minutes),
        owner=owner,
        tags=tags or [],
        exif=exif,
    )


def planned(
    image_id: str = IMAGE, *, tasks: tuple[str, ...] = ("analysis",), minutes: float = 1
) -> Planned:
    return Planned(image_id=image_id, tasks=list(tasks), planned_at=at(minutes))


def analysis(
    *,
    kind: str = "photo",
    colours: tuple[str, ...] = ("teal", "gold"),
    phash: str = "0123456789abcdef",
) -> Analysis:
    return Analysis(
        width=640,
        height=480,
        orientation="landscape",
        colours=[Colour(name=name, hex="#008080", share=0.4) for name in colours],
        brightness=0.5,
        contrast=0.2,
        saturation=0.3,
        sharpness=120.5,
        entropy=7.1,
        texture=Texture(lbp=[0.1] * 10, uniformity=0.2, edge_density=0.1),
        composition=Composition(
            thirds=0.1,
            symmetry_horizontal=0.5,
            symmetry_vertical=0.5,
            saliency_centre=Point(x=0.5, y=0.5),
        ),
        kind=Kind(name=kind, confidence=0.9, evidence={"colours": 0.5}),  # type: ignore[arg-type]
        phash=phash,
        blurhash="LEHV6nWB2yk8pyo0adR*.7kCMdnj",
    )


def inferred(
    image_id: str = IMAGE,
    *,
    minutes: float = 2,
    version: str = "1",
    kind: str = "photo",
    colours: tuple[str, ...] = ("teal", "gold"),
    task: str = "analysis",
) -> AnalysisInferred:
    return AnalysisInferred(
        image_id=image_id,
        task=task,
        model="classical",
        model_version=version,
        duration_ms=12.5,
        inferred_at=at(minutes),
        result=analysis(kind=kind, colours=colours, phash=digest(image_id)[:16]),
    )


def embedded(
    image_id: str = IMAGE,
    vector: Sequence[float] = (1.0, 0.0),
    *,
    version: str = "1",
    minutes: float = 2,
) -> EmbeddingInferred:
    return EmbeddingInferred(
        image_id=image_id,
        task="embedding",
        model="looks",
        model_version=version,
        duration_ms=3.5,
        inferred_at=at(minutes),
        result=Embedding(dimensions=len(vector), vector=pack(f"<{len(vector)}f", *vector)),
    )


def hashed(image_id: str, phash: int, *, sharpness: float = 120.5) -> AnalysisInferred:
    found = inferred(image_id)
    result = replace(found.result, phash=f"{phash:016x}", sharpness=sharpness)
    return replace(found, result=result)


def augmented(image_id: str = IMAGE, *, variant: str = "v1", minutes: float = 3) -> Augmented:
    return Augmented(
        image_id=image_id,
        variant_id=variant,
        task_id="t1",
        object=f"{image_id}/{variant}",
        media_type="image/png",
        width=10,
        height=20,
        receipt={"seed": 2**64 - 1, "steps.$x": [{"name": "rotate"}]},
        augmented_at=at(minutes),
    )


def annotated(
    image_id: str = IMAGE,
    *,
    tags: tuple[str, ...] = ("cat",),
    caption: str | None = None,
    minutes: float = 4,
) -> Annotated:
    return Annotated(image_id=image_id, tags=list(tags), caption=caption, annotated_at=at(minutes))


def failed(
    image_id: str = IMAGE,
    *,
    stage: str = "analysis",
    resolved: bool = False,
    minutes: float = 5,
) -> Failed:
    return Failed(
        image_id=image_id,
        stage=stage,
        code="corrupt_pixels",
        message="broken",
        attempts=1,
        failed_at=at(minutes),
        resolved=resolved,
    )


def deleted(image_id: str = IMAGE, *, minutes: float = 6) -> Deleted:
    return Deleted(image_id=image_id, reason="asked", deleted_at=at(minutes))
