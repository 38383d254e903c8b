from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import pytest
from imagesystem.settings import BadSettings, ServiceSettings, load


class Settings(ServiceSettings, frozen=True, kw_only=True):
    max_things: Annotated[int, msgspec.Meta(ge=1)] = 5
    strict: bool = False
    secret: str


def test_values_come_from_the_environment_and_empty_means_absent() -> None:
    settings = load(Settings, {"SECRET": "s", "MAX_THINGS": "7", "HTTP_PORT": "", "STRICT": "true"})
    assert (settings.max_things, settings.http_port, settings.strict) == (7, 8000, True)


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from the file\n")
    assert load(Settings, {"SECRET_FILE": str(tmp_path / "secret")}).secret == "from the file"
    with pytest.raises(BadSettings, match=r"SECRET_FILE.*No such file"):
        load(Settings, {"SECRET_FILE": str(tmp_path / "none")})


def test_every_wrong_value_is_reported_at_once() -> None:
    with pytest.raises(BadSettings) as caught:
        load(Settings, {"MAX_THINGS": "0", "HTTP_PORT": "many", "LOG_LEVEL": "loud"})
    text = "\n".join(caught.value.problems)
    for variable in ("MAX_THINGS", "HTTP_PORT", "LOG_LEVEL", "SECRET"):
        assert variable in text
