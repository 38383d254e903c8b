"""Pictures that look alike: an index of vectors beside the documents (ADR 15)."""

from metadata_service.similarity.gallery import Gallery
from metadata_service.similarity.vectors import Space

__all__ = ["Gallery", "Space"]
