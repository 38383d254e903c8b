"""Vectors of pictures and of texts, and the tokens that texts are told in."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from imagesystem.models import BadModel, ModelSpec
from numpy.typing import NDArray

from inference_service.networks.detectors import Outputs

__all__ = ["Tokens", "tokens_of", "vector_of"]

#: Outputs that are the answer, whatever else there is.
NAMES = ("image_embeds", "text_embeds", "embedding", "embeddings", "pooler_output")

Tokens = dict[str, NDArray[np.int64]]


def vector_of(outputs: Outputs, pool: str, by: str) -> NDArray[np.float32]:
    """Return an encoder's answer as a vector, float32 (d,), of length 1.

    `pool`: `cls` or `mean`, of the tokens, if it tells them all.
    """
    found = next((outputs[name] for name in NAMES if name in outputs), None)
    if found is None:
        flat = [output for output in outputs.values() if output.ndim == 2]
        deep = [output for output in outputs.values() if output.ndim == 3]
        if not flat and not deep:
            told = ", ".join(f"{name} {array.shape}" for name, array in outputs.items())
            raise BadModel(f"{by} says no vector: {told}")
        tokens = deep[0] if deep and not flat else None
        found = flat[0] if tokens is None else tokens[:, 0] if pool == "cls" else tokens.mean(1)
    vector = np.asarray(found[0], np.float32).ravel()
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length):
        raise ValueError(f"{by} says a vector that is not finite")
    return vector / length if length > 1e-12 else vector


def tokens_of(text: str, spec: ModelSpec, tokenizer: Path, fixed: int | None) -> Tokens:
    """Return a text as its encoder is fed with it; `fixed`: the number of tokens it always wants.

    What is longer than the encoder reads is cut off.
    """
    most = fixed or spec.tokens
    encoding = _tokenizer(tokenizer, most, spec.pad or fixed is not None).encode(text)
    return {
        "input_ids": np.array([encoding.ids], np.int64),
        "attention_mask": np.array([encoding.attention_mask], np.int64),
        "token_type_ids": np.array([encoding.type_ids], np.int64),
    }


@functools.lru_cache(maxsize=8)
def _tokenizer(path: Path, most: int, padded: bool):  # type: ignore[no-untyped-def]
    from tokenizers import Tokenizer  # noqa: PLC0415  few services ever need it

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing more particular
        raise BadModel(f"{path} is no tokenizer: {error}") from error
    tokenizer.enable_truncation(most)
    if padded:
        known = tokenizer.padding or {}
        tokenizer.enable_padding(
            length=most,
            pad_id=known.get("pad_id", 0),
            pad_token=known.get("pad_token", "[PAD]"),
        )
    else:
        tokenizer.no_padding()
    return tokenizer
