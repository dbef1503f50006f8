#!/bin/sh
# Runs one throw-away Dovecot in the foreground, from the folder DIR alone.
#
#   start.sh DIR FORMAT IMAP IMAPS LMTP PASSWORD
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
: >"$dir/acl"
: >"$dir/dovecot.log"
key() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null
}
if [ ! -f "$dir/cert.pem" ]; then
    key "$dir/ca-key.pem"
    key "$dir/key.pem"
    openssl req -x509 -new -key "$dir/ca-key.pem" -days 2 -subj "/CN=throw-away CA" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign \
        -out "$dir/ca.pem"
    printf '%s\n' subjectAltName=DNS:localhost,IP:127.0.0.1 basicConstraints=critical,CA:FALSE \
        extendedKeyUsage=serverAuth >"$dir/extensions"
    openssl req -new -key "$dir/key.pem" -subj /CN=localhost |
        openssl x509 -req -CA "$dir/ca.pem" -CAkey "$dir/ca-key.pem" -set_serial 2 -days 2 \
            -extfile "$dir/extensions" -out "$dir/cert.pem" 2>/dev/null
fi

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
