# The environment that train.sh, test.sh and check.sh share. POSIX sh; sourced with ROOT set to the repository.
#
#   prepare [FILE...]   sets PYTHON to an interpreter with Paddle, the requirements and dehw itself (FILE: further
#                       requirement files). Makes what is missing, does nothing twice.
#
# A Paddle that imports in the active environment is used and left as it is; else there is ROOT/.venv.

GUIDE=https://www.paddlepaddle.org.cn/install/quick
WHEELS=https://www.paddlepaddle.org.cn/packages/stable
IN_RANGE='import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))'

say() { printf 'env: %s\n' "$*" >&2; }
die() {
    say "$@"
    exit 2
}

help_asked() { # prints the calling script's header where --help is among the arguments
    for argument; do
        case $argument in -h | --help)
            sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
            exit
            ;;
        esac
    done
}

prepare() {
    requirements=$ROOT/requirements-cpu.txt
    if has_gpu; then requirements=$ROOT/requirements.txt; fi
    changed=
    # Paddle looks for a compiler cache at each start, which nothing here compiles with.
    export PYTHONWARNINGS="${PYTHONWARNINGS:+$PYTHONWARNINGS,}ignore:No ccache found"
    if PYTHON=$(active_python); then
        complete_active "$requirements" "$@"
    else
        complete_venv "$requirements" "$@"
    fi
}

has_gpu() { nvidia-smi -L >/dev/null 2>&1; }
has_paddle() { "$1" -c 'import paddle' >/dev/null 2>&1; }
install() {
    "$PYTHON" -m pip install --disable-pip-version-check --quiet "$@" ||
        die "pip failed, see above. What it did is kept: run the same command again to go on."
}

# --- an active environment with Paddle: gets what it lacks; nothing it has is changed

active_python() {
    for name in python python3; do
        found=$(command -v "$name") || continue
        prefix=$("$found" -c 'import os, sys; print(os.path.realpath(sys.prefix))' 2>/dev/null) || continue
        [ "$prefix" != "$ROOT/.venv" ] && has_paddle "$found" || continue
        if "$found" -c "$IN_RANGE"; then
            echo "$found"
            return
        fi
        say "$found has Paddle, but is not Python 3.10 to 3.12: taking .venv instead"
    done
    return 1
}

complete_active() {
    for file in "$@"; do
        lacking=$("$PYTHON" "$ROOT/scripts/missing.py" "$file") || die "cannot compare $file with $PYTHON"
        if [ -n "$lacking" ]; then add_to_active "$lacking"; fi
    done
    if ! installed_in_place; then install --no-deps --editable "$ROOT"; fi
    check_environment
}

add_to_active() {
    say "$PYTHON has Paddle, which stays as it is; installing what else it lacks:" $1
    # With its dependencies PaddleSeg would bring an old OpenCV over the one that is there (pip will mention it).
    seg=$(printf '%s\n' "$1" | grep '^paddleseg') && install --no-deps "$seg"
    rest=$(printf '%s\n' "$1" | grep -v '^paddleseg') && { printf '%s\n' "$rest" | install -r /dev/stdin || exit; }
    changed=yes
}

installed_in_place() {
    "$PYTHON" -c "import dehw, os, sys; sys.exit(os.path.realpath(dehw.__file__) != '$ROOT/work/dehw/__init__.py')" 2>/dev/null
}

# --- .venv: follows the requirement files; a stamp a file tells what is done

complete_venv() {
    if ! "$ROOT/.venv/bin/python" -c "$IN_RANGE" 2>/dev/null; then make_venv; fi
    PYTHON=$ROOT/.venv/bin/python
    for file in "$@"; do
        if ! stamped "$file"; then add_to_venv "$file"; fi
    done
    if ! stamped "$ROOT/pyproject.toml"; then install --no-deps --editable "$ROOT"; fi
    check_environment
    for file in "$@" "$ROOT/pyproject.toml"; do stamp "$file"; done
}

make_venv() {
    base=$(base_python) || exit
    say "making .venv with $("$base" --version): this takes a minute or more, and 2 GB of disk (5 GB with a GPU)"
    "$base" -m venv --clear "$ROOT/.venv" || die "$base -m venv failed, see above"
}

base_python() {
    without_venv=
    for name in python3 python python3.12 python3.11 python3.10; do
        "$name" -c "$IN_RANGE" 2>/dev/null || continue
        if "$name" -c 'import ensurepip, venv' 2>/dev/null; then
            command -v "$name"
            return
        fi
        without_venv=${without_venv:-$name}
    done
    [ -n "$without_venv" ] || die "no Python 3.10, 3.11 or 3.12 on PATH: install one, then run this again"
    die "$("$without_venv" --version) cannot make an environment, its venv module is not installed (on Debian and Ubuntu:" \
        "the package python3-venv): install it, or activate an environment with Paddle, then run this again"
}

add_to_venv() {
    say "installing $(basename "$1") into .venv"
    if has_paddle "$PYTHON"; then # maybe a wheel chosen by hand for this machine's GPU
        grep -v '^paddlepaddle' "$1" | install -r /dev/stdin || exit
    else
        install -r "$1"
    fi
    changed=yes
}

fingerprint() { echo "$ROOT $(cksum <"$1")"; }
stamp_file() { echo "$ROOT/.venv/$(basename "$1").stamp"; }
stamped() { [ "$(cat "$(stamp_file "$1")" 2>/dev/null)" = "$(fingerprint "$1")" ]; }
stamp() { stamped "$1" || fingerprint "$1" >"$(stamp_file "$1")"; }

# --- what was installed works

check_environment() {
    if [ -n "$changed" ]; then cure_opencv; fi
    if [ -n "$changed" ] || has_gpu; then check_device; fi
}

cure_opencv() {
    if trouble=$("$PYTHON" -c 'import cv2' 2>&1); then return; fi
    case $trouble in
    *libGL* | *libgthread* | *libglib*) ;;
    *) die "OpenCV does not import: $(printf '%s\n' "$trouble" | tail -n 1)" ;;
    esac
    build=$("$PYTHON" -m pip list --format freeze 2>/dev/null | grep '^opencv-[a-z-]*==' | grep -v headless | head -n 1)
    headless=${build%%==*}-headless==${build##*==}
    say "$build needs display libraries that this system lacks: taking $headless"
    "$PYTHON" -m pip uninstall --quiet --yes "${build%%==*}" || die "pip failed, see above"
    install --no-deps --force-reinstall "$headless"
    "$PYTHON" -c 'import cv2' || die "OpenCV does not import, see above"
}

check_device() {
    if has_gpu && [ -n "${CUDA_VISIBLE_DEVICES-unset}" ]; then
        if one_operation gpu >/dev/null 2>&1; then return; fi
        name_wheel
        # An empty list hides the GPU from Paddle, which might else take the whole process down with it.
        export CUDA_VISIBLE_DEVICES=
    fi
    trouble=$(one_operation cpu 2>&1) || die "Paddle does not run on this CPU (other wheels: $GUIDE): $trouble"
}

one_operation() { # a convolution: with some wheels a GPU too new for them answers without an error, but with zeros
    "$PYTHON" -W ignore -c "
import paddle
paddle.set_device('$1')
ones = paddle.ones([1, 1, 3, 3])
raise SystemExit(float(paddle.nn.functional.conv2d(ones, ones)) != 9)"
}

name_wheel() {
    gpu=$(nvidia-smi --query-gpu=name,compute_cap --format=csv,noheader 2>/dev/null | head -n 1)
    cuda=$(nvidia-smi | sed -n 's/.*CUDA Version: *\([0-9]*\.[0-9]\).*/\1/p' | head -n 1)
    version=$(sed -n 's/^paddlepaddle==//p' "$ROOT/requirements-cpu.txt")
    say "this Paddle cannot drive the GPU ($gpu; driver for CUDA ${cuda:-unknown}). The CPU erases pages, more slowly;"
    say "training stops unless --device cpu is given."
    say "The fitting wheel, as $GUIDE has it:"
    say "  $PYTHON -m pip uninstall -y paddlepaddle paddlepaddle-gpu"
    say "  $PYTHON -m pip install paddlepaddle-gpu==$version -i $WHEELS/$(wheel_page "${gpu##*, }" "${cuda:-0}")/"
}

wheel_page() { # compute capability, newest CUDA of the driver, as in "8.6" "12.4"
    cuda_number=$(echo "$2" | tr -d .)
    if [ "${1%%.*}" -ge 10 ] 2>/dev/null; then
        echo cu129
    elif [ "$cuda_number" -ge 124 ]; then
        echo cu126
    else
        echo cu118
    fi
}
