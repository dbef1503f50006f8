#!/bin/sh
# Runs one throw-away Dovecot in the foreground, from the folder DIR alone.
#
#   start.sh DIR FORMAT IMAP IMAPS LMTP PASSWORD
#
# A folder in which one has run before keeps its mail, rights and certificate.
#
# FORMAT is sdbox or maildir; IMAP, IMAPS and LMTP are free ports on loopback; any user name
# logs in with PASSWORD. DIR/ca.pem signs the server's certificate (localhost, 127.0.0.1).
# The process that this becomes is Dovecot's master: it ends on SIGTERM, and gets one when
# whoever started this script dies. Root gives itself up: Dovecot runs as `nobody`.
set -eu
PATH=$PATH:/usr/sbin:/sbin
dir=$1 format=$2 imap=$3 imaps=$4 lmtp=$5 password=$6
here=$(dirname "$0")
umask 022

mkdir -p "$dir/run" "$dir/state" "$dir/home"
: >>"$dir/acl"
: >>"$dir/dovecot.log"
sh "$here/../certificate.sh" "$dir"

user=$(id -un) group=$(id -gn) become=
if [ "$(id -u)" = 0 ]; then
    user=nobody group=$(id -gn nobody)
    become="--reuid=nobody --regid=$group --clear-groups --inh-caps=-all"
    chown -R "nobody:$group" "$dir"
fi
sed -e "s|@DIR@|$dir|g" -e "s|@FORMAT@|$format|g" -e "s|@USER@|$user|g" -e "s|@GROUP@|$group|g" \
    -e "s|@IMAP@|$imap|g" -e "s|@IMAPS@|$imaps|g" -e "s|@LMTP@|$lmtp|g" \
    -e "s|@PASSWORD@|$password|g" "$here/dovecot.conf.in" >"$dir/dovecot.conf"
# shellcheck disable=SC2086 # several options or none
exec setpriv $become --pdeathsig TERM dovecot -F -c "$dir/dovecot.conf"
