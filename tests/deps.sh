#!/bin/sh
# Installs what the tests need beside Rust, python3, git, make and a C compiler, and nothing that
# is there already. As root and with apt-get; otherwise it says the line to run.
#
#   deps.sh [PART…]   parts: python, dovecot, submission, cyrus, postgresql, systemd, promtool, faketime,
#                     strace; all when none is named
#
# No service is started or enabled by it: dovecot/install.sh sees to that for Dovecot, systemd is
# installed for its systemd-analyze alone where no systemd runs. Cyrus, PostgreSQL where there is none,
# of the package prometheus the program promtool, Dovecot's submission service and libfaketime are not
# installed at all but unpacked into .tools.
# Exit codes: 0 all is there, 69 something is missing and could not be installed.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- python dovecot submission cyrus postgresql systemd promtool faketime strace

give_up() {
    echo "deps: $1" >&2
    exit 69
}

# What it does is of no interest unless it fails.
apt() {
    DEBIAN_FRONTEND=noninteractive apt-get --yes --quiet --quiet "$@" </dev/null >/dev/null
}

# The lists of a fresh machine are empty or old: they are fetched only when an attempt fails.
apt_or_update() {
    apt "$@" 2>/dev/null || { apt update && apt "$@"; }
}

# install PACKAGE WHY
install() {
    line="apt-get install --no-install-recommends $1"
    command -v apt-get >/dev/null || give_up "$2 is needed (Debian's package $1)."
    [ "$(id -u)" = 0 ] || give_up "$2 is needed. To install it, as root: $line"
    echo "deps: installing $1 for $2" >&2
    apt_or_update install --no-install-recommends "$1" || give_up "apt-get failed. By hand: $line"
}

# take PACKAGE FILE: one file of a package, its folder may be a pattern, into .tools
take() {
    name=$(basename "$2")
    why="$name is needed (Debian's package $1); put it into .tools"
    command -v apt-get >/dev/null || give_up "$why."
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    chmod 755 "$folder"
    echo "deps: taking $name out of Debian's package $1" >&2
    (cd "$folder" && apt_or_update download "$1") || give_up "$why."
    dpkg-deb --extract "$folder/$1"_*.deb "$folder/package"
    mkdir -p .tools
    # shellcheck disable=SC2086 # a pattern
    mv "$folder/package"/$2 ".tools/$name"
    rm -rf "$folder"
}

for part in "$@"; do
    case $part in
    python)
        python3 -c 'import ensurepip, venv' 2>/dev/null || install python3-venv "Python's venv" ;;
    dovecot)
        sh tests/dovecot/install.sh ;;
    cyrus)
        sh tests/cyrus/fetch.sh ;;
    postgresql)
        sh tests/postgresql/fetch.sh ;;
    systemd)
        command -v systemd-analyze >/dev/null || install systemd systemd-analyze ;;
    promtool)
        [ -x .tools/promtool ] || command -v promtool >/dev/null ||
            take prometheus usr/bin/promtool ;;
    submission)
        [ -x .tools/submission-login ] || {
            take dovecot-submissiond usr/lib/dovecot/submission
            take dovecot-submissiond usr/lib/dovecot/submission-login
        } ;;
    faketime)
        [ -e .tools/libfaketimeMT.so.1 ] ||
            take libfaketime 'usr/lib/*/faketime/libfaketimeMT.so.1' ;;
    strace)
        command -v strace >/dev/null || install strace strace ;;
    *)
        give_up "no such part: $part" ;;
    esac
done
