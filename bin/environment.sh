# Sourced by the scripts beside it: makes the virtual environment on first use and keeps it current.
#
#   prepare_environment WORDS  packages; sets $python and the variables that hexpipe needs. While it installs them for the
#                              first time it already compiles the kernels that the command line WORDS will need
#   prepare_kernels WORDS      after it: compiles now what WORDS will need; a command does that for itself
#   prepare_development_tools  after it: pytest, ruff, mypy, import-linter, and packages that tests are held against
#
# HEXPIPE_VENV    where the environment is (default: .venv in this repository)
# HEXPIPE_PYTHON  the interpreter to make it with (default: the first of python3.11, 3.12, 3.13, python3 that fits)
# HEXPIPE_TORCH   the requirement for PyTorch, for example torch==2.12.0 (default: by whether there is an NVIDIA driver)
#
# Inside the environment: hexpipe.lock is held while it is being made; hexpipe.wanted says what it was made for and is
# written last, so that a half-made one is never trusted; kernels-*/ are numba's caches (hexpipe/kernel_cache.py).

torch_version=2.13.0

repository=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${HEXPIPE_VENV:-$repository/.venv}
case $venv in /*) ;; *) venv=$PWD/$venv ;; esac
python=$venv/bin/python

say() { printf 'hexpipe: %s\n' "$*" >&2; }

fail() {
    say "$@"
    exit 1
}

# The lines of one list in pyproject.toml, as they stand: a change of it is a change of what is installed.
project_list() { sed -n "/^$1 = \[/,/\]/p" "$repository/pyproject.toml"; }

checksum() { cksum | tr ' ' -; }

has_nvidia_driver() {
    [ -e /proc/driver/nvidia/version ] || [ -e /dev/nvidia0 ] ||
        { command -v nvidia-smi && nvidia-smi -L; } >/dev/null 2>&1
}

wanted_torch() {
    if [ -n "${HEXPIPE_TORCH:-}" ]; then
        echo "$HEXPIPE_TORCH"
    elif [ "$(uname -s)" = Darwin ] || has_nvidia_driver; then
        echo "torch==$torch_version"
    else
        echo "torch==$torch_version+cpu"
    fi
}

wanted_extras() {
    local extras="web plots"
    if [ "$(uname -sm)" = "Linux x86_64" ] && ! has_nvidia_driver; then extras="$extras openvino"; fi
    echo "$extras"
}

# What the environment must be, one fact a line. Lines 1 and 2 differ: made anew; line 3 or 4: brought up to date.
wanted_state() {
    echo "python ${HEXPIPE_PYTHON:-any}"
    echo "torch $(wanted_torch)"
    echo "extras $(wanted_extras)"
    local lists
    lists=$(for list in dependencies web plots openvino; do project_list "$list"; done)
    echo "packages $({ cat "$repository/bin/constraints.txt"; echo "$lists"; } | checksum)"
}

find_python() {
    local candidate candidates=(python3.11 python3.12 python3.13 python3 python)
    [ -z "${HEXPIPE_PYTHON:-}" ] || candidates=("$HEXPIPE_PYTHON")
    local check='import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
    for candidate in "${candidates[@]}"; do
        if "$candidate" -c "$check" >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    if [ -n "${HEXPIPE_PYTHON:-}" ]; then
        fail "HEXPIPE_PYTHON=$HEXPIPE_PYTHON is not a working Python 3.11, 3.12 or 3.13 with its venv module"
    fi
    fail "needs Python 3.11, 3.12 or 3.13 with its venv module (Debian and Ubuntu: apt install python3 python3-venv);" \
        "HEXPIPE_PYTHON can name one"
}

# Wait for the lock on descriptor 9. Python's flock, because not every system has the command.
lock_with() { "$1" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'; }

# pip_install REQUIREMENT...: pip's own words go to a log that is shown only when it fails. Python compiles a module when
# it is first imported: to compile all of them, most of which nobody imports, takes longer than to unpack them.
pip_install() {
    "$python" -m pip install --no-compile --disable-pip-version-check --no-input --constraint "$repository/bin/constraints.txt" "$@" \
        >>"$venv/hexpipe-pip.log" 2>&1
}

explain_pip_failure() {
    local log
    log=$(mktemp "${TMPDIR:-/tmp}/hexpipe-pip.XXXXXX")
    mv "$venv/hexpipe-pip.log" "$log"
    tail -n 20 "$log" >&2
    say "pip could not install the packages; its whole log is $log"
    say "the first use needs a package index and about 2 GB of free disk; behind a mirror set PIP_INDEX_URL;" \
        "HEXPIPE_TORCH names another PyTorch, HEXPIPE_PYTHON another Python"
    exit 1
}

requirements() {
    "$python" - "$repository/pyproject.toml" "$@" <<'END'
import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path(sys.argv[1]).read_text())["project"]
extras, dependencies = project["optional-dependencies"], project["dependencies"]
if "kernels" in sys.argv[2:]:
    print("\n".join(name for name in dependencies if not name.startswith(("torch", "tensorboard"))))
elif sys.argv[2] in ("dev", "peers"):
    print("\n".join(extras[sys.argv[2]]))
else:
    print("\n".join(sum((extras[extra] for extra in sys.argv[2:]), dependencies)))
END
}

install_packages() {
    local torch packages few
    torch=$(wanted_torch)
    packages=($(requirements $(wanted_extras)))
    few=($(requirements kernels))
    say "installing the packages ($torch; a minute or several, by the line)"
    : >"$venv/hexpipe-pip.log"
    pip_install "${few[@]}" || explain_pip_failure
    begin_kernels "$@"
    if ! pip_install "$torch" "${packages[@]}"; then
        if [ "$torch" = "torch==$torch_version+cpu" ] && grep -q 'No matching distribution found for torch' "$venv/hexpipe-pip.log"; then
            say "the package index has no PyTorch build for the CPU alone: taking the full one, which is larger"
            pip_install "torch==$torch_version" "${packages[@]}" || explain_pip_failure
        else
            explain_pip_failure
        fi
    fi
}

prepare='import sys; from hexpipe.cli.main import prepare; prepare(sys.argv[1:])'

prepare_kernels() { "$python" -P -c "$prepare" "$@"; }

# What hexpipe needs to be found, and to find its kernels. Where Python is told to leave no bytecode beside its sources, as
# in many containers, it lies in the environment: each of a run's processes would compile all of PyTorch anew.
export_variables() {
    export PYTHONPATH="$repository${PYTHONPATH:+:$PYTHONPATH}"
    export NUMBA_CACHE_DIR=$venv
    if [ -n "${PYTHONDONTWRITEBYTECODE:-}" ]; then
        unset PYTHONDONTWRITEBYTECODE
        export PYTHONPYCACHEPREFIX=${PYTHONPYCACHEPREFIX:-$venv/bytecode}
    fi
}

# Compile what the command will need while the larger packages are being installed; what fails here it does itself.
begin_kernels() {
    (
        export_variables
        exec "$python" -P -c "$prepare" "$@"
    ) 9>&- &
    kernels=$!
    trap 'kill "$kernels" 2>/dev/null || true' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

end_kernels() {
    [ -n "${kernels:-}" ] || return 0
    wait "$kernels" || true
    trap - EXIT INT TERM HUP
    kernels=
}

# Make the environment afresh, or bring it up to date; descriptor 9 holds the lock.
make_environment() {
    local base started=$SECONDS
    if [ ! -e "$venv/hexpipe.wanted" ] || [ ! -x "$python" ] ||
        [ "$(head -n 2 "$venv/hexpipe.wanted")" != "$(wanted_state | head -n 2)" ]; then
        base=$(find_python)
        say "making an environment in $venv ($("$base" --version 2>&1))"
        find "$venv" -mindepth 1 -maxdepth 1 ! -name hexpipe.lock ! -name 'kernels-*' -exec rm -rf {} +
        "$base" -m venv "$venv" || fail "could not make a virtual environment in $venv"
    fi
    install_packages "$@"
    echo "$repository" >"$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/hexpipe.pth"
    wanted_state >"$venv/hexpipe.wanted.new"
    mv "$venv/hexpipe.wanted.new" "$venv/hexpipe.wanted"
    say "the environment is ready ($((SECONDS - started)) s)"
}

prepare_environment() {
    if [ "$(cat "$venv/hexpipe.wanted" 2>/dev/null)" != "$(wanted_state)" ] || [ ! -x "$python" ]; then
        # The lock is looked for last: another first call may be making its folder, lock and files at this moment.
        if [ -d "$venv" ] && [ -n "$(ls -A "$venv")" ] && [ ! -e "$venv/hexpipe.lock" ]; then
            fail "$venv exists and was not made by this script: remove it, or name another place with HEXPIPE_VENV"
        fi
        mkdir -p "$venv" || fail "cannot make $venv: HEXPIPE_VENV can name another place"
        local base
        base=$(find_python)
        {
            lock_with "$base"
            if [ "$(cat "$venv/hexpipe.wanted" 2>/dev/null)" != "$(wanted_state)" ] || [ ! -x "$python" ]; then
                make_environment "$@"
            fi
        } 9>>"$venv/hexpipe.lock"
        end_kernels
    fi
    export_variables
}

prepare_development_tools() {
    local wanted packages
    wanted=$({ cat "$repository/bin/constraints.txt"; project_list dev; project_list peers; } | checksum)
    if [ "$(cat "$venv/hexpipe.wanted-dev" 2>/dev/null)" != "$wanted" ]; then
        {
            lock_with "$python"
            say "installing the development tools"
            : >"$venv/hexpipe-pip.log"
            packages=($(requirements dev))
            pip_install "${packages[@]}" || explain_pip_failure
            packages=($(requirements peers))
            pip_install "${packages[@]}" || say "tests beside other programs are left out: pip has not all of ${packages[*]}"
            echo "$wanted" >"$venv/hexpipe.wanted-dev"
        } 9>>"$venv/hexpipe.lock"
    fi
}
