#!/bin/sh
# Runs one throw-away Cyrus in the foreground, from the folder DIR alone.
#
#   start.sh DIR IMAP IMAPS LMTP
#
# IMAP, IMAPS and LMTP are free ports on loopback. Nobody can log in before passwd.sh has given him
# a password; `admin` is the administrator. DIR/ca.pem signs the server's certificate.
# The process that this becomes is Cyrus' master. When whoever started this script dies, the kernel
# kills it, and then its services: asked politely while it still starts, a master may spin for ever.
# Root gives itself up: Cyrus runs as `nobody`.
set -eu
dir=$1 imap=$2 imaps=$3 lmtp=$4
here=$(cd "$(dirname "$0")" && pwd)
umask 022

mkdir -p "$dir/db" "$dir/socket" "$dir/proc" "$dir/log" "$dir/spool" "$dir/sieve"
sh "$here/../certificate.sh" "$dir"
cp "$here/tied.sh" "$dir"

user=$(id -un) group=$(id -gn) become=
tree=$here/../../.tools/cyrus
if [ "$(id -u)" = 0 ]; then
    user=nobody group=$(id -gn nobody)
    become="--reuid=nobody --regid=$group --clear-groups --inh-caps=-all"
    # A checkout below /root, say, is not for nobody's eyes.
    # shellcheck disable=SC2086 # several options
    if ! setpriv $become test -x "$tree/bin/master"; then
        cp -a "$tree" "$dir/tree"
        tree=$dir/tree
    fi
    chown -R "nobody:$group" "$dir"
fi
for file in imapd.conf cyrus.conf; do
    sed -e "s|@DIR@|$dir|g" -e "s|@BIN@|$tree/bin|g" \
        -e "s|@TIED@|$(command -v setpriv) --pdeathsig KILL $dir/tied.sh $tree/bin|g" -e "s|@USER@|$user|g" \
        -e "s|@GROUP@|$group|g" -e "s|@IMAP@|$imap|g" -e "s|@IMAPS@|$imaps|g" \
        -e "s|@LMTP@|$lmtp|g" "$here/$file.in" >"$dir/$file"
done
# Where nothing of SASL had to be unpacked, the system has it.
system=$(echo /usr/lib/*-linux-gnu*/sasl2 | tr ' ' :)
export LD_LIBRARY_PATH="$tree/lib" SASL_PATH="$tree/lib/sasl2:$system" CYRUS_USER="$user"
# shellcheck disable=SC2086 # several options or none
exec setpriv $become --pdeathsig KILL "$tree/bin/master" -C "$dir/imapd.conf" \
    -M "$dir/cyrus.conf" -p "$dir/master.pid" -l 64
