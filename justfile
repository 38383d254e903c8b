# `uv run just` shows this list.
set positional-arguments

[private]
default:
    @just --list --unsorted

# Format the code and mend what the linter can mend.
[group('develop')]
fix:
    uv run ruff check --fix .
    uv run ruff format .

# Lint, types, import rules: what CI checks before the tests.
[group('develop')]
check:
    uv run ruff check .
    uv run ruff format --check .
    uv run mypy
    uv run lint-imports

# Run the default suite; arguments go to pytest.
[group('test')]
test *arguments:
    uv run pytest "$@"

# Run everything, also what takes minutes.
[group('test')]
test-all:
    uv run pytest -m "slow or not slow"

# Start the whole system on http://127.0.0.1:8011 (add --demo for pictures).
[group('run')]
up *arguments:
    uv run image-system up "$@"

# Run a benchmark: image, image_memory, objects, upload, flow, rebuild, feeds, inference, metadata, augment, augment_service.
[group('measure')]
bench name *arguments:
    shift && uv run python -m tests.load.{{ name }} "$@"

# Freeze the event schemas after fields were added (a breaking change is refused).
[group('develop')]
accept-events:
    uv run python -m tests.contract.accept_events
