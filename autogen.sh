#!/bin/sh
# Makes ./configure. Needs autoconf, automake, libtool and pkg-config; deps/setup.sh
# installs them.
set -e
cd "$(dirname "$0")"
mkdir -p build-aux
exec autoreconf --install --force --warnings=all,no-portability
