"""Labels as data sets keep them: COCO, Pascal VOC, YOLO; read, and written for variants."""

from __future__ import annotations

from augmentation_service.datasets.annotations import (
    Annotation,
    Category,
    Given,
    Instance,
    annotated,
    categories_of,
    of_labels,
)

__all__ = ["Annotation", "Category", "Given", "Instance", "annotated", "categories_of", "of_labels"]
