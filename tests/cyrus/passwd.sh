#!/bin/sh
# Gives a user of the Cyrus in the folder DIR a password.
#
#   passwd.sh DIR USER PASSWORD
set -eu
dir=$1 user=$2 password=$3
tree=$(cd "$(dirname "$0")/../../.tools/cyrus" && pwd)
export LD_LIBRARY_PATH="$tree/lib"
printf %s "$password" |
    "$tree/bin/saslpasswd2" -p -c -f "$dir/sasldb2" -u localhost "$user"
[ "$(id -u)" != 0 ] || chown nobody "$dir/sasldb2"
