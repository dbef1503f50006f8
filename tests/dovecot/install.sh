#!/bin/sh
# Installs the Dovecot that the tests and the demo run for themselves, and nothing else.
#
# The package's own service is neither started nor enabled: service starts are forbidden while
# apt works, and the unit that the package enables by itself is disabled again. Where a Dovecot
# is already installed, or one runs, this changes nothing at all.
#
#   install.sh          install what is missing (as root; otherwise say the line to run)
#   install.sh --print  only say the line to run
# Exit codes: 0 all is there, 69 it is not and was not installed.
set -eu
PATH=$PATH:/usr/sbin:/sbin
PACKAGES="dovecot-core dovecot-imapd dovecot-lmtpd"

complete() {
    for program in dovecot /usr/lib/dovecot/imap /usr/lib/dovecot/lmtp openssl setpriv; do
        command -v "$program" >/dev/null || return 1
    done
}

give_up() {
    echo "$1" >&2
    echo "To install it by hand, as root: apt-get install --no-install-recommends $PACKAGES" >&2
    exit 69
}

complete && exit 0
[ "${1:-}" != --print ] || give_up "Dovecot is needed (packages $PACKAGES)."
command -v apt-get >/dev/null || give_up "Dovecot is needed and there is no apt-get to install it."
[ "$(id -u)" = 0 ] || give_up "Dovecot is needed and only root may install it."
# A part of the package is missing on a machine whose Dovecot may serve people: adding a part would
# have it restarted. (A Dovecot of another origin, in a container say, has nothing to fear.)
package=$(dpkg-query --show --showformat='${db:Status-Status}' dovecot-core 2>/dev/null || true)
if [ "$package" = installed ] && pidof dovecot >/dev/null 2>&1; then
    give_up "A Dovecot is running here; it is not touched."
fi

policy=/usr/sbin/policy-rc.d
if [ -e $policy ]; then
    # 101 is "forbidden" (see invoke-rc.d(8)).
    answer=0
    $policy dovecot start >/dev/null 2>&1 || answer=$?
    [ $answer = 101 ] || give_up "$policy would let the service start."
else
    trap 'rm -f $policy' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
fi
was_there=no
[ ! -e /lib/systemd/system/dovecot.service ] || was_there=yes

echo "Installing $PACKAGES; their service is neither started nor enabled." >&2
export DEBIAN_FRONTEND=noninteractive
# The lists of a fresh machine are empty or old: fetch them only when the first attempt fails.
install() {
    # shellcheck disable=SC2086 # the packages are separate words
    apt-get install --yes --quiet --quiet --no-install-recommends $PACKAGES </dev/null >&2
}
install || { apt-get update --quiet --quiet >&2 && install; } || give_up "apt-get failed."

if [ $was_there = no ]; then
    for unit in dovecot.service dovecot.socket; do
        deb-systemd-helper disable $unit >/dev/null 2>&1 || true
    done
    [ ! -e /etc/init.d/dovecot ] || update-rc.d dovecot disable >/dev/null 2>&1 || true
fi
if [ -e /etc/systemd/system/multi-user.target.wants/dovecot.service ] && [ $was_there = no ]; then
    give_up "The package's service is still enabled: systemctl disable dovecot.service"
fi
complete || give_up "The packages are installed, yet parts of Dovecot are missing."
