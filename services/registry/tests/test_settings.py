from __future__ import annotations

from pathlib import Path

import msgspec
from imagesystem.settings import ServiceSettings
from registry_service.settings import Settings

README = Path(__file__).parent.parent / "README.md"


def described(field: msgspec.structs.FieldInfo) -> str:
    schema = msgspec.json.schema(field.type)
    return str(schema["description"])


def test_the_readme_lists_every_setting() -> None:
    own = {field.name: field for field in msgspec.structs.fields(Settings)}
    for common in msgspec.structs.fields(ServiceSettings):
        del own[common.name]
    text = README.read_text()
    for field in own.values():
        default = "" if field.default == "" else f" {field.default}"
        assert f"| `{field.name.upper()}` |{default} | {described(field)} |" in text
