from __future__ import annotations

import pytest
from imagesystem.settings import BadSettings, load
from metadata_service.settings import Settings


def test_the_defaults_need_no_environment():
    assert load(Settings, {}).mongodb_driver == "pymongo"


def test_every_wrong_value_is_reported():
    wrong = {
        "MONGODB_URL": "http://somewhere",
        "MONGODB_DRIVER": "mongoengine",
        "LIST_MAX": "0",
        "MONGODB_DATABASE": "a/b",
    }
    with pytest.raises(BadSettings) as raised:
        load(Settings, wrong)
    assert len(raised.value.problems) == len(wrong)
