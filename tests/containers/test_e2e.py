"""The end-to-end tests, as they are, on Compose."""

from __future__ import annotations

import pytest

# their `system` and `http` come from this folder's conftest
from tests.e2e.test_augmentation_tasks import *  # noqa: F403
from tests.e2e.test_bad_input import *  # noqa: F403
from tests.e2e.test_descriptions import *  # noqa: F403
from tests.e2e.test_lifecycle import *  # noqa: F403

# the first of them builds the images
pytestmark = [pytest.mark.containers, pytest.mark.slow, pytest.mark.timeout(1800)]
