#!/bin/sh
# The test command: makes the environment where there is none, then lint, types and tests.
#   sh check.sh           the fast tests
#   sh check.sh --slow    the slow ones too; any other argument goes to pytest as well
set -eu
ROOT=$(cd "$(dirname "$0")" && pwd -P)
cd "$ROOT"
. "$ROOT/scripts/env.sh"
help_asked "$@"
prepare "$ROOT/requirements/dev.txt" "$ROOT/requirements/heic.txt" "$ROOT/requirements/onnxruntime.txt" \
    "$ROOT/requirements/serve.txt"
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
"$PYTHON" -m mypy
exec "$PYTHON" -m pytest -n auto "$@"
