#!/bin/sh
# Makes a throw-away certificate authority and a server's certificate in the folder DIR.
#
#   certificate.sh DIR
#
# DIR/ca.pem signs DIR/cert.pem (localhost, 127.0.0.1), whose key is DIR/key.pem. What is there
# already is left as it is.
set -eu
dir=$1
[ ! -f "$dir/cert.pem" ] || exit 0
key() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null
}
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
