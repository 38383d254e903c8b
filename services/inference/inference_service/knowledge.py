"""What the log says about an image: which answers there are, and what is still to come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from imagesystem.bus import Received
from imagesystem.events import Fact, Failed, Inferred, Planned, Uploaded

from inference_service.models import Model, Result

__all__ = ["Known"]


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """An image's facts by kind and key, with their sequences; older than the upload: none."""

    facts: Mapping[tuple[str, str | None], Received[Fact]]

    def sequence(self, kind: type[Fact], key: str | None = None) -> int:
        """Return the sequence of a fact, 0 if there is none."""
        found = self.facts.get((kind.kind, key))
        return found.sequence if found else 0

    def current(self, kind: type[Fact], key: str | None = None) -> Any:
        """Return a fact that is newer than the upload, or None."""
        found = self.facts.get((kind.kind, key))
        if found is None or found.sequence < self.sequence(Uploaded):
            return None
        return found.event

    def done(self, model: Model) -> bool:
        """Whether there is the answer of this very model."""
        fact = self.current(Inferred, model.task)
        return isinstance(fact, Inferred) and (
            (fact.model, fact.model_version) == (model.name, model.version)
        )

    def plan(self) -> Sequence[str]:
        """Return the tasks planned for this upload, none if nothing was planned yet."""
        fact = self.current(Planned)
        return fact.tasks if isinstance(fact, Planned) else ()

    def results(self, tasks: Iterable[str]) -> dict[str, Result]:
        """Return the answers there are to some tasks, whichever model gave them."""
        facts = {task: self.current(Inferred, task) for task in tasks}
        return {task: fact.result for task, fact in facts.items() if fact is not None}

    def failed(self, task: str) -> bool:
        """Whether the task gave up and has no answer."""
        fact = self.current(Failed, task)
        return (
            isinstance(fact, Failed) and not fact.resolved and self.current(Inferred, task) is None
        )

    def settled_at(self, task: str) -> int:
        """Return the sequence of the task's answer, or of its failure; 0 if it is to come."""
        if self.current(Inferred, task) is not None:
            return self.sequence(Inferred, task)
        return self.sequence(Failed, task) if self.failed(task) else 0

    def overdue(self, task: str, needs: Iterable[str]) -> bool:
        """Whether a planned task can be answered now, or again: all that it needs is settled."""
        plan = self.plan()
        settled = [self.settled_at(need) for need in needs if need in plan]
        return task in plan and all(settled) and self.settled_at(task) < max(settled, default=0)
