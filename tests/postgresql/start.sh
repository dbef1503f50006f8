#!/bin/sh
# Runs one throw-away PostgreSQL in the foreground, from the folder DIR alone.
#
#   [PRELOAD=LIBRARY] start.sh DIR PORT PASSWORD
#
# A folder in which one has run before keeps its databases.
#
# PORT is a free port on loopback; the user `triaged` logs in with PASSWORD (SCRAM) and may make
# databases. What is committed is on disk, as in service; only making the cluster is not waited for.
# The process that this becomes is the postmaster. When whoever started this script dies, the kernel
# has it end at once. Root gives itself up: PostgreSQL, which refuses root, runs as `nobody`.
set -eu
dir=$1 port=$2 password=$3
here=$(cd "$(dirname "$0")" && pwd)
bin=$(sh "$here/fetch.sh" --print)
umask 077

become=
if [ "$(id -u)" = 0 ]; then
    group=$(id -gn nobody)
    become="--reuid=nobody --regid=$group --clear-groups --inh-caps=-all"
    # A checkout below /root, say, is not for nobody's eyes.
    # shellcheck disable=SC2086 # several options
    if ! setpriv $become test -x "$bin/postgres"; then
        mkdir -p "$dir/tree"
        cp -a "${bin%/usr/lib/*}/." "$dir/tree"
        bin=$dir/tree/usr/lib/${bin##*/usr/lib/}
    fi
    chown -R "nobody:$group" "$dir"
fi
# Where it was unpacked, the libraries that the system has not got lie beside it.
unpacked=${bin%/usr/lib/*}/lib-of-system
[ ! -d "$unpacked" ] || export LD_LIBRARY_PATH="$unpacked"
export LC_ALL=C TZ=UTC
if [ ! -e "$dir/data/PG_VERSION" ]; then
    printf '%s\n' "$password" >"$dir/password"
    [ -z "$become" ] || chown nobody "$dir/password"
    # shellcheck disable=SC2086 # several options or none
    setpriv $become "$bin/initdb" --pgdata="$dir/data" --username=triaged --pwfile="$dir/password" \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync
fi
# Shared memory lies in the folder, so that nothing is left of one that was killed.
# shellcheck disable=SC2086 # several options or none
exec setpriv $become --pdeathsig QUIT env ${PRELOAD:+LD_PRELOAD="$PRELOAD"} "$bin/postgres" -D "$dir/data" -p "$port" \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c dynamic_shared_memory_type=mmap \
    -c max_connections=50 -c shared_buffers=32MB -c jit=off -c logging_collector=off
