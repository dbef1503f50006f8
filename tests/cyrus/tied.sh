#!/bin/sh
# Runs a program that must not outlive Cyrus' master, by `setpriv --pdeathsig`: which is too late where
# the master died before it was asked for.
[ "$(cat "/proc/$PPID/comm")" = master ] || exit 1
exec "$@"
