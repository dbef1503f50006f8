#!/bin/sh
# Finds the PostgreSQL that the tests run for themselves: the one that is installed, else one that it
# unpacks into .tools/postgresql. It installs nothing: the packages are downloaded and unpacked, their
# scripts never run, and no service or cluster comes of it. No root is needed where apt's lists are
# there.
#
#   fetch.sh          fetch it where there is none; otherwise say why it could not
#   fetch.sh --print  only print the folder of its programs
# Exit codes: 0 it is there, 69 it is not.
set -eu
cd "$(dirname "$0")/../.."
target=.tools/postgresql

give_up() {
    echo "$1" >&2
    echo "To fetch it: sh tests/postgresql/fetch.sh (Debian's or Ubuntu's apt-get)" >&2
    exit 69
}

# The newest one: the folders are named by version. Server and client are two packages.
for programs in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -Vr); do
    [ -x "$programs/initdb" ] && [ -x "$programs/psql" ] || continue
    [ "${1:-}" != --print ] || echo "$programs"
    exit 0
done
# Written last: a tree that is cut off is not there.
if [ -e $target/complete ]; then
    [ "${1:-}" != --print ] || (cd $target/usr/lib/postgresql/*/bin && pwd)
    exit 0
fi
[ "${1:-}" != --print ] || give_up "PostgreSQL is neither installed nor in $target."
command -v apt-get >/dev/null || give_up "PostgreSQL is needed, and there is no apt-get to fetch it."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# apt downloads as a user of its own where root calls it.
chmod 777 "$folder"
download() {
    server=$(apt-cache depends postgresql 2>/dev/null | awk '/Depends: postgresql-[0-9]/ { print $2 }')
    [ -n "$server" ] || return 1
    packages="$server postgresql-client-${server#postgresql-}"
    # shellcheck disable=SC2086 # the packages are separate words
    needed=$(apt-get --simulate install --no-install-recommends $packages 2>/dev/null) || return 1
    # What compiles queries is a hundred megabytes, and switched off (start.sh).
    libraries=$(echo "$needed" | awk '/^Inst lib/ && !/^Inst libllvm/ { print $2 }')
    # shellcheck disable=SC2086 # the packages are separate words
    (cd "$folder" && apt-get --quiet --quiet download $packages $libraries >/dev/null)
}
echo "Unpacking PostgreSQL into $target; nothing is installed." >&2
download || { [ "$(id -u)" = 0 ] && apt-get --quiet --quiet update >&2 && download; } ||
    give_up "PostgreSQL could not be downloaded: apt-get update, as root, may help."

rm -rf $target
mkdir -p $target
for package in "$folder"/*.deb; do
    dpkg-deb --extract "$package" $target
done
# Older packages keep some libraries in /lib.
mkdir $target/lib-of-system
for libraries in $target/usr/lib/*-linux-gnu* $target/lib/*-linux-gnu*; do
    [ ! -d "$libraries" ] || cp -a "$libraries/." $target/lib-of-system/
done
touch $target/complete
