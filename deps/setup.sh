#!/bin/sh
# Installs what is missing, then builds: one command from a fresh clone to a server.
#
#     sh deps/setup.sh [FLAG...] [-- CONFIGURE ARGUMENT...]
#
#     --packages-only   install and stop
#     --no-packages     build with what is there
#     --peers           also the programs that `make check-peers` talks to
#     --dev             also the developer's tools
#     --print           say what would be installed and stop
#
# Asks the package manager first, and becomes root only when something is missing. On a
# system that it does not know it says so and builds with what is there.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
groups=build
packages=yes
build=yes
print=no

while [ $# -gt 0 ]; do
    case $1 in
    --packages-only) build=no ;;
    --no-packages) packages=no ;;
    --peers) groups="$groups peers" ;;
    --dev) groups="$groups dev" ;;
    --print) print=yes ;;
    --) shift; break ;;
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0"; exit 0 ;;
    *) echo "setup: unknown flag $1 (--help names them)" >&2; exit 2 ;;
    esac
    shift
done

# The packages of the wanted groups of a list.
wanted() {
    awk -v groups=" $groups " '
    /^# (build|peers|dev)$/ { on = index(groups, " " $2 " ") > 0; next }
    /^#/ || /^$/ { next }
    on { print }' "$top/deps/$1.txt"
}

is_there() {
    case $manager in
    apt) [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ] ;;
    dnf) rpm -q "$1" >/dev/null 2>&1 ;;
    pacman) pacman -Qq "$1" >/dev/null 2>&1 || pacman -Qgq "$1" >/dev/null 2>&1 ;;
    apk) apk info -e "$1" >/dev/null 2>&1 ;;
    esac
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        echo "setup: not root and no sudo; run as root: $*" >&2
        exit 1
    fi
}

install_packages() {
    case $manager in
    apt)
        as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
        ;;
    dnf) as_root dnf install -y "$@" ;;
    pacman) as_root pacman -S --needed --noconfirm "$@" ;;
    apk) as_root apk add "$@" ;;
    esac
}

find_manager() {
    if command -v apt-get >/dev/null 2>&1; then manager=apt list=debian
    elif command -v dnf >/dev/null 2>&1; then manager=dnf list=fedora
    elif command -v pacman >/dev/null 2>&1; then manager=pacman list=arch
    elif command -v apk >/dev/null 2>&1; then manager=apk list=alpine
    else manager= list=
    fi
}

find_manager
if [ $packages = yes ] && [ -z "$manager" ]; then
    echo "setup: no package manager known here; deps/README.md lists what is needed" >&2
elif [ $packages = yes ]; then
    missing=
    for package in $(wanted $list); do
        is_there "$package" || missing="$missing $package"
    done
    if [ $print = yes ]; then
        echo "missing:${missing:- nothing}"
        exit 0
    fi
    # shellcheck disable=SC2086 # one word a package
    [ -z "$missing" ] || install_packages $missing
fi
[ $build = yes ] || exit 0

cd "$top"
[ -x configure ] && [ configure -nt configure.ac ] && [ configure -nt Makefile.am ] || ./autogen.sh
[ $# -eq 0 ] && [ -f Makefile ] || ./configure "$@"
make -j"$(nproc 2>/dev/null || echo 2)"
