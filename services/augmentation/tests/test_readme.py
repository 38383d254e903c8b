"""The README's tables say what the code says."""

from __future__ import annotations

from pathlib import Path

import msgspec
from augmentation_service.settings import Settings
from imagesystem.settings import ServiceSettings

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_every_setting_is_in_the_readme() -> None:
    common = {field.name for field in msgspec.structs.fields(ServiceSettings)}
    for field in msgspec.structs.fields(Settings):
        if field.name not in common:
            row = next(line for line in README.splitlines() if f"`{field.name.upper()}`" in line)
            default = row.rsplit("|", 2)[1].replace(" ", "")
            assert float(default) == field.default, row
