#!/bin/sh
# Trains a pipeline: data, masks, then each of its networks. What is done is passed over, what was cut goes on.
#   sh train.sh [--pipeline NAME|FILE] [--data DIR] [--device auto|cpu|gpu] [--from DIR]... [--opts KEY=VALUE ...]
# --pipeline: seed001 (default: the second seed's two networks, about 118 h on one V100 GPU), another of
#         configs/pipelines, or a file; each network there names the configuration that trains it. The first line of
#         what it says is the pipeline, its networks and their hours.
# --data: datasets of images/ and gts/; default: data/, where the contest's zips may lie in data/data126591/. Of the
#         first seed's two the segmenter takes dataset1 and its Annotations/, the generators take dataset2.
# --from: an earlier training's folder, such as output/seed000: networks of the same name are taken from there.
# --opts: changes configurations: seg.KEY=VALUE the segmenter's, erase.KEY=VALUE every generator's, and with the name of
#         its weights (erasenet_nonlocal.batch=2) that of one network. seg.data and erase.data choose their datasets.
# Where Paddle sees several GPUs each network trains on all of them (CUDA_VISIBLE_DEVICES chooses); batch is a GPU's.
# A GPU that Paddle cannot drive stops it, unless --device cpu is given.
# Results: output/NAME. Without any data the same code runs in small on the sample pages, into output/smoke.
set -eu
ROOT=$(cd "$(dirname "$0")" && pwd -P)
. "$ROOT/scripts/env.sh"
help_asked "$@"
prepare
exec "$PYTHON" -m dehw train --root "$ROOT" "$@"
