#!/bin/sh
# Unpacks the Cyrus that the tests run for themselves into .tools/cyrus. It installs nothing: the
# packages are downloaded and unpacked, their scripts never run, and no service comes of it. No
# root is needed where apt's lists are there.
#
#   fetch.sh          fetch what is missing; otherwise say why it could not
#   fetch.sh --check  only say whether it is there
# Exit codes: 0 it is there, 69 it is not.
set -eu
cd "$(dirname "$0")/../.."
target=.tools/cyrus
# The server, what makes its passwords, and of what those need the libraries that are not installed.
# (A package cyrus-imapd depends on a mail transfer agent, too, which no test needs.)
packages="cyrus-imapd cyrus-common sasl2-bin"

give_up() {
    echo "$1" >&2
    echo "To fetch it: sh tests/cyrus/fetch.sh (Debian's or Ubuntu's apt-get)" >&2
    exit 69
}

# Written last: a tree that is cut off is not there.
[ ! -e $target/complete ] || exit 0
[ "${1:-}" != --check ] || give_up "Cyrus is not in $target."
command -v apt-get >/dev/null || give_up "Cyrus is needed, and there is no apt-get to fetch it."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# apt downloads as a user of its own where root calls it.
chmod 777 "$folder"
download() {
    # shellcheck disable=SC2086 # the packages are separate words
    needed=$(apt-get --simulate install --no-install-recommends $packages 2>/dev/null) || return 1
    libraries=$(echo "$needed" | awk '/^Inst lib/ { print $2 }')
    # shellcheck disable=SC2086 # the packages are separate words
    (cd "$folder" && apt-get --quiet --quiet download $packages $libraries >/dev/null)
}
echo "Unpacking Cyrus into $target; nothing is installed." >&2
download || { [ "$(id -u)" = 0 ] && apt-get --quiet --quiet update >&2 && download; } ||
    give_up "Cyrus could not be downloaded: apt-get update, as root, may help."

rm -rf $target
mkdir -p $target
for package in "$folder"/*.deb; do
    dpkg-deb --extract "$package" "$folder/tree"
done
mkdir $target/bin
for program in master imapd lmtpd idled ctl_cyrusdb; do
    mv "$folder/tree/usr/lib/cyrus/bin/$program" $target/bin/
done
mv "$folder/tree/usr/sbin/saslpasswd2" $target/bin/
# Older packages keep some libraries in /lib.
mkdir $target/lib
for libraries in "$folder"/tree/usr/lib/*-linux-gnu* "$folder"/tree/lib/*-linux-gnu*; do
    [ ! -d "$libraries" ] || cp -a "$libraries/." $target/lib/
done
touch $target/complete
