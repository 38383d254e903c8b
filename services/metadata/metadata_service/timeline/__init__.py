"""What happened to one image, in order, as its facts say it."""

from metadata_service.timeline.stages import Stage, Timeline, Timelines

__all__ = ["Stage", "Timeline", "Timelines"]
