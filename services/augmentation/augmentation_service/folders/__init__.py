"""Augmenting a folder of pictures without any server: `augmentation-service augment`."""

from __future__ import annotations
