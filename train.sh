#!/bin/sh
# Trains a pipeline: data, masks, then each of its networks. What is done is passed over, what was cut goes on.
#   sh train.sh [--pipeline NAME|FILE] [--data DIR] [--device auto|cpu|gpu] [--from DIR]... [--opts KEY=VALUE ...]
# --pipeline: erasenet (default), another of configs/pipelines, or a file; each network there names the configuration
#         that trains it.
# --data: datasets of images/ and gts/; default: data/, where the contest's zips may lie in data/data126591/.
# --from: an earlier training's folder, such as output/seed000: networks of the same name are taken from there.
# --opts: changes configurations: seg.KEY=VALUE the segmenter's, erase.KEY=VALUE every generator's, and with the name of
#         its weights (erasenet_nonlocal.batch=2) that of one network.
# Where Paddle sees several GPUs each network trains on all of them (CUDA_VISIBLE_DEVICES chooses); batch is a GPU's.
# Results: output/NAME. Without any data the same code runs in small on the sample pages, into output/smoke.
set -euf
LINE='
'
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

pipeline=erasenet data='' device=auto from='' opts=''
while [ $# -gt 0 ]; do
    case $1 in
    --pipeline | --data | --device | --from)
        [ $# -gt 1 ] || wrong "$1 wants a value"
        case $1 in
        --pipeline) pipeline=$2 ;;
        --device) device=$2 ;;
        --data) data=$(cd "$CALLER" && cd "$2" 2>/dev/null && pwd) || wrong "--data: $2 is no folder" ;;
        --from)
            folder=$(cd "$CALLER" && cd "$2" 2>/dev/null && pwd) || wrong "--from: $2 is no folder"
            from="$from$folder$LINE"
            ;;
        esac
        shift
        ;;
    --opts) ;;
    *.*=*) opts="$opts $1" ;;
    *) wrong "unknown argument $1" ;;
    esac
    shift
done
case $pipeline in
*.yml | *.yaml)
    pipeline=$(cd "$CALLER" && cd "$(dirname "$pipeline")" && pwd)/$(basename "$pipeline")
    [ -f "$pipeline" ] || wrong "--pipeline: there is no $pipeline"
    ;;
*) [ -f "configs/pipelines/$pipeline.yml" ] || wrong "--pipeline: $pipeline is not in configs/pipelines" ;;
esac

dataset_folders() {
    "$PYTHON" -c '
import sys
from dehw import cli
from dehw.data.pairs import contest_datasets
sys.exit(cli.guarded(lambda: print(*contest_datasets(sys.argv[1]), sep="\n") or 0))' "$1"
}

choose_stages() { # sets name, of the pipeline, and stages: a line a network, as dehw.train.stages prints them
    stages=$(IFS=$LINE && "$PYTHON" -m dehw.train.stages "$pipeline" --from $from)
    name=$(printf '%s\n' "$stages" | head -n 1)
    stages=$(printf '%s\n' "$stages" | tail -n +2)
    steps=$((2 + $(printf '%s\n' "$stages" | wc -l)))
    known=" seg erase $(printf '%s\n' "$stages" | while read -r part weights config; do printf '%s ' "${weights%.*}"; done)"
    for opt in $opts; do
        case $known in *" ${opt%%.*} "*) ;; *) wrong "--opts: $opt begins with none of$known" ;; esac
    done
}

prepare_smoke() {
    pipeline=smoke data=$ROOT/output/smoke/data
    mkdir -p "$data"
    cp -R data/sample/images data/sample/gts "$data"
}

make_masks() { # of the dataset $1
    pages=$(count "$1/gts")
    if [ "$(count "$1/masks")" -ge "$pages" ]; then
        report "2/$steps masks: $1/masks, done before"
    else
        report "2/$steps masks: $1/masks, $pages pages"
        "$PYTHON" compute_mask.py "$1" </dev/null
    fi
}

count() { ls "$1" 2>/dev/null | wc -l; }

train_stage() { # number, part, weights' name, configuration
    weights=output/$name/weights/$3 changes=$(opts_for "$2" "${3%.*}")
    if [ -f "$weights" ] && [ -z "$changes" ]; then
        report "$1/$steps $weights: done before"
        return
    fi
    report "$1/$steps $weights: by $4"
    case $2 in
    seg) set -- work/train/train_seg.py "$4" "pipeline=$pipeline" ;;
    *) set -- work/train/train.py "$4" "pipeline=$pipeline" "network=$3" ;;
    esac
    script=$1 config=$2
    shift 2
    "$PYTHON" $launch "$script" --config "$config" --data "$data" --device "$device" --opts "$@" $changes </dev/null || {
        code=$?
        report "$weights: stopped with exit code $code" >&2
        exit "$code"
    }
}

opts_for() { # part, weights' stem: their options, without these words
    for opt in $opts; do
        case $opt in "$1".* | "$2".*) printf ' %s' "${opt#*.}" ;; esac
    done
}

choose_launcher() { # sets launch: what starts a process on each GPU where there are several
    launch=
    [ "$device" != cpu ] || return 0
    gpus=$("$PYTHON" -c 'from dehw.engine import gpu_count; print(gpu_count())')
    if [ "$gpus" -gt 1 ]; then launch="-m paddle.distributed.launch --log_dir output/$name/launch"; fi
}

record_finished() { # for weights that were trained elsewhere and put there by hand
    "$PYTHON" -c '
import sys
from dehw.config import load_pipeline
from dehw.train import record_finished
sys.exit(", ".join(record_finished("output", load_pipeline(sys.argv[1]), sys.argv[1])) or None)' "$pipeline"
}

prepare
choose_stages
folders=$(dataset_folders "${data:-data}")
if [ -z "$folders" ]; then
    [ -z "$data" ] || wrong "--data: no folder in $data holds both images/ (or JPEGImages/) and gts/"
    report "no training data in data/: a SMOKE RUN on the sample pages follows, which only proves that the code works"
    prepare_smoke
    choose_stages
    folders=$(dataset_folders "$data")
fi
data=${data:-data}
report "1/$steps data:" $folders
printf '%s\n' "$folders" | while read -r folder; do make_masks "$folder"; done
choose_launcher
number=2
printf '%s\n' "$stages" | while read -r part weights config; do
    number=$((number + 1))
    train_stage "$number" "$part" "$weights" "$config"
done
[ -f "output/$name/finished.json" ] || record_finished
report "done: output/$name/finished.json"
if [ "$name" = smoke ]; then
    report "this was a smoke run: a few steps of tiny networks on the sample pages. Its weights erase nothing, and" \
        "test.sh never takes them. To train in earnest put the contest's zips into data/data126591/, or name --data."
else
    report "sh test.sh now erases with pipeline $name"
fi
