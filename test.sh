#!/bin/sh
# Erases the handwriting of pages and packs the contest's submit/result.zip.
#   sh test.sh [PAGES...] [--pipeline NAME] [--weights DIR] [--device auto|cpu|gpu]
#       [--engine auto|paddle|openvino|onnxruntime]
# PAGES: files and folders; default: the contest's test set in data/, else data/sample/images.
# Pipeline: the newest training that train.sh finished, else the one whose weights ship.
# Masks go to segoutput/, pages to submit/. Exit code 1: some pages could not be read and are named; the others are in
# the zip.
set -eu
ROOT=$(cd "$(dirname "$0")" && pwd -P)
. "$ROOT/scripts/env.sh"
help_asked "$@"
prepare
exec "$PYTHON" -m dehw submit --root "$ROOT" "$@"
