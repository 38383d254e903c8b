from __future__ import annotations

from imagesystem.permissions import USERS, Permissions
from local_stack import nats_config
from local_stack.parts import NATS_CONFIG


def test_the_committed_file_follows_from_the_permissions() -> None:
    rendered = nats_config.render(USERS)
    assert NATS_CONFIG.read_text() == rendered, (
        "run: image-system nats-config > deploy/nats/nats-server.conf"
    )


def test_each_user_has_its_subjects_and_a_password_from_the_environment() -> None:
    may = Permissions(publish=("a.b.*",), subscribe=("_INBOX_x.>",))
    text = nats_config.render({"somebody": may})
    assert "user: somebody" in text
    assert "password: $NATS_SOMEBODY_PASSWORD" in text
    assert '"a.b.*"' in text
    assert '"_INBOX_x.>"' in text
