#!/bin/sh
# Erases the handwriting of pages and packs the contest's submit/result.zip.
#   sh test.sh [PAGES...] [--pipeline NAME] [--weights DIR] [--device auto|cpu|gpu]
#       [--engine auto|paddle|openvino|onnxruntime]
# PAGES: files and folders; default: the contest's test set in data/, else data/sample/images.
# Pipeline: the newest training that train.sh finished, else the one whose weights ship.
# Exit code 1: some pages could not be read and are named; the others are in the zip.
set -eu
CALLER=$(pwd)
ROOT=$(cd "$(dirname "$0")" && pwd -P)
. "$ROOT/scripts/env.sh"
help_asked "$@"
cd "$ROOT"

option=
for argument; do # paths as seen from where the command was given
    shift
    case $option in --pipeline | --device | --engine) path=-f ;; *) path=-e ;; esac # a folder may bear a pipeline's name
    option=$argument
    case $argument in
    --o* | --m*) die "$argument: test.sh writes to segoutput/ and submit/; for other folders see work/pre_and_submit" ;;
    -* | /*) ;;
    *) if [ $path "$CALLER/$argument" ]; then argument=$CALLER/$argument; fi ;;
    esac
    set -- "$@" "$argument"
done

prepare
started=$(mktemp)
trap 'rm -f "$started"' EXIT
made() { [ -n "$(find "$1" -newer "$started" 2>/dev/null)" ]; }

status=0
"$PYTHON" work/pre_and_submit/1_predict_segformer.py "$@" || status=$?
# Exit code 1 without a record of the masks is a crash, not a page that failed.
if [ "$status" -ne 0 ] && ! made segoutput/run.json; then exit "$status"; fi
"$PYTHON" work/pre_and_submit/2_predictgan.py "$@" || status=$?
if made submit/result.zip; then echo "$ROOT/submit/result.zip"; fi
exit "$status"
