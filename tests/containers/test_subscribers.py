"""External subscribers of a system in containers: made and removed while it runs."""

from __future__ import annotations

import httpx
import nats
import nats.errors
import pytest
from imagesystem import ids
from local_stack import subscribers
from local_stack.homes import ComposeHome

from tests.containers.engine import ComposeProject
from tests.pictures import picture
from tests.system import System

pytestmark = [pytest.mark.containers, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def home(project: ComposeProject, monkeypatch: pytest.MonkeyPatch) -> ComposeHome:
    """The project as whoever stands in its folder finds it."""
    for name, value in (project.environ | {"COMPOSE_PROJECT_NAME": project.name}).items():
        monkeypatch.setenv(name, value)
    return ComposeHome(project.folder)


async def test_a_subscriber_comes_and_goes_while_nats_runs_on(
    home: ComposeHome, project: ComposeProject, system: System, http: httpx.AsyncClient
) -> None:
    data = picture(450_000)
    subject = f"images.v1.{ids.image_id(data)}.uploaded"
    began = project.inspect("nats")["State"]["StartedAt"]
    await http.put("/registry/upload?filename=heard.jpg", content=data)
    made = await subscribers.create(home, "acme", facts=[subject], objects=["originals"])
    url = subscribers.url(home, made)
    client = await nats.connect(url, allow_reconnect=False)
    facts = await client.jetstream().pull_subscribe_bind(made.durable, "IMAGES")
    (message,) = await facts.fetch(1, timeout=30)
    assert message.subject == subject
    await message.ack_sync()
    await client.close()

    # a later start, which runs the container of credentials again, keeps it
    project.up()
    assert [one.name for one in await subscribers.examine(home)] == ["acme"]
    await subscribers.remove(home, "acme")
    with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
        await nats.connect(url, allow_reconnect=False)
    assert project.inspect("nats")["State"]["StartedAt"] == began
