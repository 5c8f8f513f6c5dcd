#!/bin/sh
# Trains a pipeline: data, masks, SegFormer, generator. What is done is passed over, what was cut goes on.
#   sh train.sh [--pipeline NAME] [--data DIR] [--device auto|cpu|gpu] [--opts seg.KEY=VALUE erase.KEY=VALUE ...]
# --pipeline: erasenet (default) or lite. --opts: seg. changes the segmenter's configuration, erase. the generator's.
# --data: datasets of images/ and gts/; default: data/, where the contest's zips may lie in data/data126591/.
# Results: output/NAME. Without any data the same code runs in small on the sample pages, into output/smoke.
set -euf
CALLER=$(pwd)
ROOT=$(cd "$(dirname "$0")" && pwd -P)
. "$ROOT/scripts/env.sh"
help_asked "$@"
cd "$ROOT"

report() { printf 'train: %s\n' "$*"; }
wrong() {
    report "$*; see sh train.sh --help" >&2
    exit 2
}

pipeline=erasenet data='' device=auto seg_opts='' erase_opts=''
while [ $# -gt 0 ]; do
    case $1 in
    --pipeline | --data | --device)
        [ $# -gt 1 ] || wrong "$1 wants a value"
        case $1 in
        --pipeline) pipeline=$2 ;;
        --device) device=$2 ;;
        --data) data=$(cd "$CALLER" && cd "$2" 2>/dev/null && pwd) || wrong "--data: $2 is no folder" ;;
        esac
        shift
        ;;
    --opts) ;;
    seg.*=*) seg_opts="$seg_opts ${1#seg.}" ;;
    erase.*=*) erase_opts="$erase_opts ${1#erase.}" ;;
    *) wrong "unknown argument $1" ;;
    esac
    shift
done

choose_configs() { # the training configurations of a pipeline
    case $1 in
    erasenet) seg_config=configs/segformer_b2.yml erase_config=configs/erasenet.yml ;;
    lite) seg_config=configs/segformer_b0.yml erase_config=configs/erasenet.yml ;;
    smoke) seg_config=configs/smoke/segformer.yml erase_config=configs/smoke/erasenet.yml ;;
    *) wrong "--pipeline: $1 is none of erasenet, lite" ;;
    esac
}

dataset_folders() {
    "$PYTHON" -c '
import sys
from dehw import cli
from dehw.data.pairs import contest_datasets
sys.exit(cli.guarded(lambda: print(*contest_datasets(sys.argv[1]), sep="\n") or 0))' "$1"
}

weights_names() { # of the segmenter and the generator
    "$PYTHON" -c '
import sys
from dehw.config import load_pipeline
pipeline = load_pipeline(sys.argv[1])
print(pipeline.segment.network.weights, pipeline.erase.networks[0].weights)' "$1"
}

prepare_smoke() {
    pipeline=smoke data=$ROOT/output/smoke/data
    mkdir -p "$data"
    cp -R data/sample/images data/sample/gts "$data"
}

make_masks() { # of the dataset $1
    pages=$(count "$1/gts")
    if [ "$(count "$1/masks")" -ge "$pages" ]; then
        report "2/4 masks: $1/masks, done before"
    else
        report "2/4 masks: $1/masks, $pages pages"
        "$PYTHON" compute_mask.py "$1" </dev/null
    fi
}

count() { ls "$1" 2>/dev/null | wc -l; }

train_part() { # number and name, script, configuration, weights' name, options given
    weights=output/$pipeline/weights/$4
    if [ -f "$weights" ] && [ -z "$5" ]; then
        report "$1: $weights, done before"
        return
    fi
    report "$1: $3 -> $weights"
    "$PYTHON" "$2" --config "$3" --data "$data" --device "$device" --opts "pipeline=$pipeline" $5 || {
        code=$?
        report "$1 stopped with exit code $code (--opts of train.sh begin with seg. or erase.)" >&2
        exit "$code"
    }
}

record_finished() { # for weights that were trained elsewhere and put there by hand
    "$PYTHON" -c '
import sys
from dehw.config import load_pipeline
from dehw.train import record_finished
sys.exit(", ".join(record_finished("output", load_pipeline(sys.argv[1]), sys.argv[1])))' "$pipeline"
}

choose_configs "$pipeline"
prepare
folders=$(dataset_folders "${data:-data}")
if [ -z "$folders" ]; then
    [ -z "$data" ] || wrong "--data: no folder in $data holds both images/ (or JPEGImages/) and gts/"
    report "no training data in data/: a SMOKE RUN on the sample pages follows, which only proves that the code works"
    prepare_smoke
    choose_configs smoke
    folders=$(dataset_folders "$data")
fi
data=${data:-data}
report "1/4 data:" $folders
printf '%s\n' "$folders" | while read -r folder; do make_masks "$folder"; done
names=$(weights_names "$pipeline")
train_part "3/4 segmenter" work/train/train_seg.py "$seg_config" "${names% *}" "$seg_opts"
train_part "4/4 generator" work/train/train.py "$erase_config" "${names#* }" "$erase_opts"
[ -f "output/$pipeline/finished.json" ] || record_finished
report "done: output/$pipeline/finished.json"
if [ "$pipeline" = smoke ]; then
    report "this was a smoke run: a few steps of tiny networks on the sample pages. Its weights erase nothing, and" \
        "test.sh never takes them. To train in earnest put the contest's zips into data/data126591/, or name --data."
else
    report "sh test.sh now erases with pipeline $pipeline"
fi
