# SPDX-License-Identifier: Apache-2.0
#
# What the checks share; each sources it first. It goes to the package's root and cleans up after the check.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

problems=0

# Says what is wrong and goes on; `finish` makes it the check's failure.
problem() {
    echo "FAIL: $*"
    problems=$((problems + 1))
}

finish() {
    if ((problems)); then
        echo "$problems problems"
        exit 1
    fi
}

# Says what is not checked; if it is nothing at all, `cannot_run`.
not_run() { echo "NOT RUN: $*"; }
cannot_run() {
    not_run "$*"
    exit 77
}

# needs PROGRAM PACKAGE: installs the Debian package of a program that is not here, if that is possible.
needs() {
    if command -v "$1" >/dev/null; then return; fi
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
        echo "installing $2, for $1"
        { apt-get install -y --no-install-recommends "$2" || { apt-get update && apt-get install -y --no-install-recommends "$2"; }; } \
            >/dev/null 2>&1 </dev/null || true
        hash -r
    fi
    command -v "$1" >/dev/null
}

# A directory of the check's own, gone at its end with the processes that it started and what it mounted there.
work=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-check.XXXXXX")
clean_up() {
    local processes
    processes=$(jobs -p)
    if [[ $processes ]]; then kill $processes 2>/dev/null || true; fi
    while read -r _ point _; do
        if [[ $point == "$work"/* ]]; then umount "$point" || true; fi
    done < <(tac /proc/mounts)
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# build_holdfastctl: builds it for release and sets `holdfastctl` to its path.
build_holdfastctl() {
    swift build --quiet -c release --product holdfastctl
    holdfastctl=$(swift build -c release --show-bin-path)/holdfastctl
}

# The compiler beside `swift`, by which Swift reads the C headers.
swift_clang() { echo "$(dirname "$(realpath "$(command -v swift)")")/clang"; }

# eventually SECONDS COMMAND…: repeats the command until it succeeds.
eventually() {
    local deadline=$((SECONDS + $1))
    until "${@:2}"; do
        if ((SECONDS > deadline)); then return 1; fi
        sleep 0.02
    done
}
