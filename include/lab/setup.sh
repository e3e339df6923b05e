#!/bin/sh
# Installs what Lifeboat's lab and tests need on Debian 12, then runs a command with the project's Python.
#
#   setup.sh run COMMAND...    as an unprivileged user, in a copy of this tree (PostgreSQL refuses root)
#   setup.sh here COMMAND...   as you, in this tree
#
# LIFEBOAT_HOME is where all of it lives: /var/lib/lifeboat for root, else ~/.local/share/lifeboat.
set -eu
umask 022
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
if [ "$(id -u)" = 0 ]; then home=/var/lib/lifeboat; else home=$HOME/.local/share/lifeboat; fi
LIFEBOAT_HOME=${LIFEBOAT_HOME:-$home}
LIFEBOAT_USER=${LIFEBOAT_USER:-postgres}
export LIFEBOAT_HOME LIFEBOAT_USER
venv=$LIFEBOAT_HOME/venv
uv_version=0.13.8
servers="postgresql-15 postgresql-client-15 pgbackrest ceph-mon ceph-osd radosgw bind9 redis-server prometheus git openssh-client"
servers="$servers iproute2 python3-venv ca-certificates"
tests="chromium openssh-server zstd"
command -v kubectl >/dev/null || tests="$tests kubernetes-client" # its packages from elsewhere are as good

say() { printf 'lifeboat: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
missing() {
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || printf '%s ' "$package"
    done
}

install_packages() { # what the tests of the web UI need on top comes with the first run of pytest
    case " $* " in *pytest* | *include.lab.check*) wanted="$servers $tests" ;; *) wanted=$servers ;; esac
    # shellcheck disable=SC2086 # a list of words
    lacking=$(missing $wanted)
    [ -n "$lacking" ] || return 0
    command -v apt-get >/dev/null || fail "this is not Debian; install these yourself, then try again: $lacking"
    [ "$(id -u)" = 0 ] || fail "these Debian packages are missing: $lacking- run this once as root, it installs them"
    say "installing $lacking(once; a minute or two)"
    log=$LIFEBOAT_HOME/apt.log
    policy=/usr/sbin/policy-rc.d # without it, each package would start its server now and at every boot
    made=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made=yes
    fi
    export DEBIAN_FRONTEND=noninteractive
    get() { apt-get -qq -y -o DPkg::Lock::Timeout=120 "$@" >>"$log" 2>&1; }
    status=0
    if ! command -v pg_createcluster >/dev/null && get update && get install --no-install-recommends postgresql-common; then
        mkdir -p /etc/postgresql-common/createcluster.d # no cluster of its own: the lab makes its servers itself
        echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.d/lifeboat.conf
    fi
    # shellcheck disable=SC2086 # a list of words
    get update && get install --no-install-recommends $lacking || status=$?
    [ -z "$made" ] || rm -f "$policy"
    [ "$status" = 0 ] || fail "apt-get could not install $lacking- the reason is at the end of $log"
}

install_python() {
    stamp=$(sha256sum "$root/requirements.txt" | cut -c1-16)
    [ "$(cat "$venv/.requirements" 2>/dev/null)" != "$stamp" ] || return 0
    say "installing Airflow and the other Python packages (once; half a minute)"
    log=$LIFEBOAT_HOME/python.log
    if [ ! -x "$LIFEBOAT_HOME/uv/bin/uv" ]; then
        { python3 -m venv "$LIFEBOAT_HOME/uv" && "$LIFEBOAT_HOME/uv/bin/pip" install -q "uv==$uv_version"; } >"$log" 2>&1 ||
            fail "pip could not install uv; is PyPI reachable? The reason is at the end of $log"
    fi
    uv=$LIFEBOAT_HOME/uv/bin/uv
    [ -x "$venv/bin/python" ] || "$uv" venv -q --python /usr/bin/python3 "$venv" >>"$log" 2>&1 || fail "no venv; see $log"
    UV_CACHE_DIR=$LIFEBOAT_HOME/uv-cache "$uv" pip sync -q --python "$venv/bin/python" --compile-bytecode \
        "$root/requirements.txt" >>"$log" 2>&1 || fail "uv could not install requirements.txt; the reason is at the end of $log"
    echo "$stamp" >"$venv/.requirements"
}

mkdir -p "$LIFEBOAT_HOME" || fail "$LIFEBOAT_HOME cannot be made; set LIFEBOAT_HOME to a directory of yours"
where=${1:?run or here}
shift
exec 9>"$LIFEBOAT_HOME/.setup.lock"
flock 9 # two of these at once install once
install_packages "$@"
install_python
exec 9>&-
PATH=$venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1
export PATH PYTHONDONTWRITEBYTECODE
cd "$root"
[ "$where" != here ] || exec "$@"
exec "$venv/bin/python" -I include/lab/launch.py "$@"
