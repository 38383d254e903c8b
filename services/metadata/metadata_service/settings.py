"""What the environment may set."""

from __future__ import annotations

from typing import Annotated, Literal

from imagesystem.settings import ServiceSettings
from msgspec import Meta

__all__ = ["Settings"]


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """The settings of the metadata service."""

    mongodb_url: Annotated[
        str,
        Meta(
            pattern=r"^mongodb(\+srv)?://",
            description="MongoDB with user and password: mongodb://user:pw@host:port/?authSource=…",
        ),
    ] = "mongodb://127.0.0.1:27017"
    mongodb_database: Annotated[
        str,
        Meta(pattern=r"^[A-Za-z0-9_-]{1,38}$", description="the database that holds the documents"),
    ] = "image_system"
    mongodb_driver: Annotated[
        Literal["pymongo", "motor"],
        Meta(description="PyMongo's asynchronous client, or Motor (needs the extra `motor`)"),
    ] = "pymongo"
    mongodb_select_timeout_s: Annotated[
        float, Meta(gt=0, description="seconds to look for a MongoDB that answers")
    ] = 2.0
    mongodb_answer_timeout_s: Annotated[
        float, Meta(gt=0, description="seconds to wait for one answer of MongoDB")
    ] = 5.0
    query_timeout_s: Annotated[
        float,
        Meta(gt=0, description="seconds MongoDB may look for an answer before it is given up"),
    ] = 4.0
    count_max: Annotated[
        int, Meta(ge=1, description="pictures that `total` and facets count at most")
    ] = 100_000
    ranked_max: Annotated[
        int,
        Meta(
            ge=1,
            description="pictures that a search for words ranks at most: where more have a word,"
            " the newest",
        ),
    ] = 2000
    facets_kept_s: Annotated[
        float, Meta(ge=0, description="seconds for which counts are kept and answered again")
    ] = 10.0
    stats_kept_s: Annotated[
        float, Meta(ge=0, description="seconds for which statistics are kept and answered again")
    ] = 30.0
    mongodb_pool: Annotated[
        int, Meta(ge=1, le=1000, description="connections to MongoDB at most")
    ] = 32
    cursor_secret: Annotated[
        str,
        Meta(description="key that signs page cursors; empty: one derived from MONGODB_URL"),
    ] = ""
    list_default: Annotated[
        int, Meta(ge=1, description="pictures on a page when the request does not say")
    ] = 50
    list_max: Annotated[int, Meta(ge=1, description="pictures on a page at most")] = 1000
    views_cache_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="bytes of pictures as lists show them that are kept in memory; 0: none",
        ),
    ] = 32 * 1024**2
    wait_default_s: Annotated[
        float, Meta(gt=0, description="seconds that `wait=ready` waits if not told")
    ] = 10.0
    wait_max_s: Annotated[
        float, Meta(gt=0, description="seconds that `wait=ready` may wait at most")
    ] = 60.0
    apply_wait_s: Annotated[
        float, Meta(gt=0, description="seconds an edit waits to be applied before it answers 202")
    ] = 5.0
    max_tags: Annotated[int, Meta(ge=1, le=500, description="tags of one picture")] = 100
    max_tag_characters: Annotated[int, Meta(ge=1, le=500, description="characters of one tag")] = (
        100
    )
    max_caption_characters: Annotated[
        int, Meta(ge=1, le=20_000, description="characters of a caption")
    ] = 10_000
    feeds_max: Annotated[
        int, Meta(ge=0, description="live feeds that one process keeps open at most")
    ] = 1000
    feed_keep_alive_s: Annotated[
        float, Meta(gt=0, description="seconds without an event after which a feed shows it lives")
    ] = 15.0
    webhooks_max: Annotated[int, Meta(ge=0, le=1000, description="webhooks there may be")] = 100
    webhook_allow_private: Annotated[
        bool,
        Meta(description="let webhooks reach private, loopback and link-local addresses"),
    ] = False
    webhook_timeout_s: Annotated[
        float, Meta(gt=0, le=60, description="seconds an endpoint may take to answer")
    ] = 15.0
    webhook_retry_s: Annotated[
        float,
        Meta(gt=0, description="seconds to the first retry; each later one waits thrice as long"),
    ] = 10.0
    webhook_give_up_hours: Annotated[
        float,
        Meta(gt=0, le=150, description="hours after which a delivery is not tried any more"),
    ] = 72.0
    webhook_disable_hours: Annotated[
        float, Meta(gt=0, description="hours without any success that disable a webhook")
    ] = 120.0
    webhook_deliveries_kept: Annotated[
        int, Meta(ge=100, le=10_000, description="deliveries of one webhook that can be looked up")
    ] = 1000
    index_dir: Annotated[
        str,
        Meta(
            description="folder that keeps the index of vectors between starts; empty: none does,"
            " and vectors are read from the log at each start"
        ),
    ] = ""
    vector_index: Annotated[
        Literal["memory", "mongodb"],
        Meta(
            description="who finds the nearest vectors: this process, or MongoDB by $vectorSearch"
            " (needs mongot)"
        ),
    ] = "memory"
    vector_precision: Annotated[
        Literal["float32", "float16"],
        Meta(description="how vectors are kept in memory: 4 or 2 bytes a number"),
    ] = "float32"
    approximate_from: Annotated[
        int,
        Meta(ge=1000, description="vectors of one model from which on a graph (HNSW) is searched"),
    ] = 50_000
    duplicate_distance: Annotated[
        int,
        Meta(ge=0, le=16, description="bits in which perceptual hashes of duplicates may differ"),
    ] = 6
    duplicate_cosine: Annotated[
        float,
        Meta(ge=-1, le=1, description="least cosine of duplicates, where both have a vector"),
    ] = 0.9
    albums_max: Annotated[int, Meta(ge=0, le=10_000, description="albums there may be")] = 1000
    album_pictures_max: Annotated[
        int, Meta(ge=1, le=100_000, description="pictures in one album")
    ] = 10_000
    bulk_max: Annotated[
        int, Meta(ge=1, le=1_000_000, description="pictures that one bulk edit may change")
    ] = 100_000
    parquet_exports_max: Annotated[
        int,
        Meta(
            ge=0,
            le=100,
            description="Parquet files that are written at once: each takes a process of about"
            " 100 MB",
        ),
    ] = 2
    manifests_bytes: Annotated[
        int, Meta(ge=0, description="bytes of lists of ids; 0: as much as NATS may keep")
    ] = 0
    max_upload_bytes: Annotated[
        int, Meta(ge=1, description="bytes of the largest picture that may be sent as an example")
    ] = 50 * 1024 * 1024
    examples_bytes: Annotated[
        int,
        Meta(ge=0, description="bytes of such pictures, which are kept until they are looked at"),
    ] = 1024**3
    embed_timeout_s: Annotated[
        float,
        Meta(gt=0, le=110, description="seconds that inference may take for a text or a picture"),
    ] = 20.0
