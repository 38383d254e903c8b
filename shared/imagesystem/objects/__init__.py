"""The object store: buckets of originals, renditions, variants and manifests."""

from imagesystem.objects.port import CHUNK_BYTES, Bucket, ObjectInfo

__all__ = ["CHUNK_BYTES", "Bucket", "ObjectInfo"]
