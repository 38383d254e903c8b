"""Tags that come with an upload."""

from __future__ import annotations

from collections.abc import Iterable

from imagesystem.errors import Rejected

__all__ = ["MAX_CHARACTERS", "MAX_TAGS", "parse"]

MAX_TAGS = 100
MAX_CHARACTERS = 100


def parse(texts: Iterable[str]) -> list[str]:
    """Return the tags in `texts`, each comma-separated: trimmed, in order, none twice.

    Raises `Rejected` 400 `invalid_tag` (longer than 100 characters, or with control characters)
    and `too_many_tags` (more than 100).
    """
    tags = {
        tag: None for text in texts for part in text.split(",") if (tag := " ".join(part.split()))
    }
    for tag in tags:
        if len(tag) > MAX_CHARACTERS or not tag.isprintable():
            raise Rejected(
                400,
                "invalid_tag",
                f"{tag[:MAX_CHARACTERS]!r} is no tag: 1 to {MAX_CHARACTERS} printable characters",
                limit="tag_characters",
                allowed=MAX_CHARACTERS,
                actual=len(tag),
            )
    if len(tags) > MAX_TAGS:
        raise Rejected(
            400,
            "too_many_tags",
            "a picture has fewer tags",
            limit="tags",
            allowed=MAX_TAGS,
            actual=len(tags),
        )
    return list(tags)
