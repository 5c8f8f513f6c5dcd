#!/bin/sh
# The test command: makes the environment where there is none, then lint and tests.
#   sh check.sh           the fast tests
#   sh check.sh --slow    the slow ones too; any other argument goes to pytest as well
set -eu
ROOT=$(cd "$(dirname "$0")" && pwd -P)
cd "$ROOT"
. "$ROOT/scripts/env.sh"
help_asked "$@"
prepare "$ROOT/requirements-dev.txt"
"$PYTHON" -m ruff check .
exec "$PYTHON" -m pytest "$@"
