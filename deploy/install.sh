#!/bin/sh
# Installs Sekisho on a server of a site or on a router: the software in a directory of its version, a link `current` to it, the
# command `sekisho`, the user, the systemd units and kernel settings. It starts and restarts nothing, and never touches site.yaml, agent.yaml or keys.
set -eu
# What root installs is for everybody to read and for root alone to write, whatever the shell of its caller has.
umask 022

usage() {
  cat <<'USAGE'
usage: install.sh [--role ROLE]... [--dry-run] [--root DIR] [--dist DIR] [--node FILE] [--server NAME] [--downgrade]

  --role ROLE    relay, manager, auth or outbreak: a service for each role; site: one service for all roles of a server;
                 agent: a router; all: every unit. May be given several times. Default: those that are installed, or site
  --dry-run      say what would be done, and do nothing
  --root DIR     install below DIR, for an image or a test: no user is made, nothing outside of DIR is touched
  --dist DIR     what `npm run build` has made; by default dist beside deploy
  --node FILE    Node >= 24; by default /usr/bin/node
  --server NAME  for check-config: which server of site.yaml this is; by default by address
  --downgrade    replace a newer version

Run it again at any time: what is as it should be is left alone. Exit code 0: installed, or nothing to do. 1: it could not be
done. 2: wrong arguments. 3: a newer version is installed. 4: site.yaml and this machine or this version do not go together;
nothing was switched.

To go back to a version that was installed before: ln -sfn releases/VERSION /opt/sekisho/current, and restart the services.
USAGE
}

say() { printf '%s\n' "$*"; }
fail() {
  code=$1
  shift
  printf 'install.sh: %s\n' "$*" >&2
  exit "$code"
}
# Says what is done, and does it unless this is a rehearsal.
act() {
  what=$1
  shift
  changes=$((changes + 1))
  if [ "$dry_run" = yes ]; then
    say "would $what"
    return 0
  fi
  say "$what"
  "$@" || fail 1 "could not $what; run this again when it can"
}

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
dist=$here/../dist
root=''
node=/usr/bin/node
server=''
dry_run=no
downgrade=no
roles=''
changes=0
units_changed=no

while [ $# -gt 0 ]; do
  case $1 in
    --role | --root | --dist | --node | --server)
      [ $# -ge 2 ] || fail 2 "$1 needs a value; see --help"
      case $1 in
        --role) roles="$roles $2" ;;
        --root) root=${2%/} ;;
        --dist) dist=$2 ;;
        --node) node=$2 ;;
        --server) server=$2 ;;
      esac
      [ -n "$2" ] || fail 2 "$1 needs a value; see --help"
      shift 2
      ;;
    --dry-run) dry_run=yes; shift ;;
    --downgrade) downgrade=yes; shift ;;
    -h | --help) usage; exit 0 ;;
    *) fail 2 "there is no argument $1; see --help" ;;
  esac
done

# Without --role a machine keeps the roles that it has; one that has none becomes a server.
installed_units() {
  for unit in "$here"/systemd/sekisho*; do
    unit=${unit##*/}
    [ ! -f "$root/etc/systemd/system/$unit" ] || printf '%s ' "$unit"
  done
}
units=''
is_server=no
if [ -z "$roles" ]; then
  units=$(installed_units)
  [ -n "$units" ] || roles=site
  for unit in $units; do case $unit in sekisho-agent.*) ;; *) is_server=yes ;; esac; done
fi
for role in $roles; do
  case $role in
    relay | outbreak) units="$units sekisho-$role.service"; is_server=yes ;;
    manager | auth) units="$units sekisho-$role.service sekisho-$role.socket"; is_server=yes ;;
    site) units="$units sekisho.service"; is_server=yes ;;
    agent) units="$units sekisho-agent.service sekisho-agent.socket" ;;
    all)
      units=$(cd "$here/systemd" && echo sekisho*.service sekisho*.socket)
      is_server=yes
      ;;
    *) fail 2 "there is no role $role: relay, manager, auth, outbreak, site, agent or all" ;;
  esac
done

if [ -n "$root" ]; then
  [ -d "$root" ] || fail 2 "$root is no directory: make it first"
  root=$(CDPATH='' cd -- "$root" && pwd)
elif [ "$dry_run" = no ] && [ "$(id -u)" -ne 0 ]; then
  fail 1 'root is needed to install on this machine: run it with sudo, or with --root DIR to install elsewhere, or with --dry-run'
fi

version_of() { sed -n 's/.*"version": *"\([^"]*\)".*/\1/p' "$1/package.json" 2>/dev/null | head -n 1; }
is_version() { printf '%s\n' "$1" | grep -Eq '^[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}$'; }
# Whether the first version is newer than the second.
is_newer() {
  awk -v a="$1" -v b="$2" 'BEGIN { split(a, x, "."); split(b, y, "."); for (i = 1; i <= 3; i++) if (x[i] + 0 != y[i] + 0) exit !(x[i] + 0 > y[i] + 0); exit 1 }'
}

[ -f "$dist/sekisho.mjs" ] || fail 1 "$dist/sekisho.mjs is missing: run \`npm run build\` first, or say --dist DIR"
version=$(version_of "$dist")
is_version "$version" || fail 1 "$dist/package.json says no version such as 1.2.3"
# It stands in the units, where a blank or a percent sign means something else.
case $node in
  *[!A-Za-z0-9._/+-]* | [!/]*) fail 2 "--node $node: an absolute path of letters, digits and . _ + - / is needed" ;;
esac
[ -x "$node" ] || fail 1 "$node cannot be run: install Node >= 24 there, or say --node FILE"
node_major=$("$node" --version | sed 's/^v\([0-9]*\).*/\1/')
[ "$node_major" -ge 24 ] || fail 1 "$node is Node $node_major: Sekisho needs 24 or later; install that, or say --node FILE"
[ "$("$node" "$dist/sekisho.mjs" --version)" = "$version" ] || fail 1 "$dist/sekisho.mjs does not run, or is not version $version: build it again"

base=$root/opt/sekisho
release=$base/releases/$version
current=$base/current
installed=$(version_of "$current" || true)
if [ -n "$installed" ] && is_newer "$installed" "$version" && [ "$downgrade" = no ]; then
  fail 3 "version $installed is installed, which is newer than $version; nothing was changed. Bring the newer dist/ here, or, if the older one is what you want: install.sh --downgrade, then restart the services of this machine one after the other"
fi

# The user, whose the configuration and the state are.
if [ -z "$root" ] && ! id sekisho >/dev/null 2>&1; then
  act 'make the user sekisho' useradd --system --user-group --home-dir /var/lib/sekisho --no-create-home --shell /usr/sbin/nologin sekisho
fi
make_configuration_directory() {
  mkdir -p "$root/etc/sekisho" &&
    chmod 0750 "$root/etc/sekisho" &&
    { [ -n "$root" ] || chown sekisho:sekisho "$root/etc/sekisho"; }
}
[ -d "$root/etc/sekisho" ] || act "make $root/etc/sekisho" make_configuration_directory

# The software. A release is complete before it has its name.
copy_release() {
  rm -rf "$release.new" "$release.old" &&
    mkdir -p "$release.new" &&
    cp -R "$dist/." "$release.new/" &&
    chmod -R u=rwX,go=rX "$release.new" &&
    { [ -n "$root" ] || chown -R root:root "$release.new"; } &&
    { [ ! -e "$release" ] || mv "$release" "$release.old"; } &&
    mv "$release.new" "$release" &&
    rm -rf "$release.old"
}
if ! diff -r "$dist" "$release" >/dev/null 2>&1; then
  act "copy version $version to $release" copy_release
fi

# Judged by the new version before anything uses it, and as the user of the services, who must be able to read it all.
check_site() {
  program=$release/sekisho.mjs
  [ -f "$program" ] || program=$dist/sekisho.mjs
  set -- "$node" "$program" check-config ${server:+--server "$server"} "$root/etc/sekisho/site.yaml"
  # What the units give; a shell may have less.
  ulimit -n 65536 2>/dev/null || true
  if [ -z "$root" ] && [ "$(id -u)" -eq 0 ] && id sekisho >/dev/null 2>&1; then
    runuser -u sekisho -- "$@"
  else
    "$@"
  fi
}
if [ "$is_server" = yes ] && [ -f "$root/etc/sekisho/site.yaml" ]; then
  # Of its output only what it finds; that all is good is no news.
  (check_site >/dev/null) || fail 4 "check-config of version $version does not accept $root/etc/sekisho/site.yaml (its words stand above); nothing was switched. Mend that, then run this again"
  grep -Eq '^stateDir: *"?/var/lib/sekisho"? *$' "$root/etc/sekisho/site.yaml" || say "warning: the units can write in /var/lib/sekisho only: set stateDir: /var/lib/sekisho in site.yaml, and with SQLite store.url: sqlite:/var/lib/sekisho/site.db"
fi

# Kernel settings and units: ours as a whole. What is to be otherwise goes into drop-ins and files of your own.
put() {
  cp "$1" "$2.new" && chmod "$3" "$2.new" && mv "$2.new" "$2"
}
put_if_changed() {
  cmp -s "$1" "$2" && return 1
  [ -d "$(dirname "$2")" ] || act "make $(dirname "$2")" mkdir -p "$(dirname "$2")"
  act "write $2" put "$1" "$2" "${3:-0644}"
}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for unit in $units; do
  sed "s|/usr/bin/node|$node|g" "$here/systemd/$unit" >"$scratch/$unit"
  if put_if_changed "$scratch/$unit" "$root/etc/systemd/system/$unit"; then units_changed=yes; fi
done
if [ "$is_server" = yes ] && put_if_changed "$here/sysctl/90-sekisho.conf" "$root/etc/sysctl.d/90-sekisho.conf" && [ -z "$root" ]; then
  act 'set the kernel settings' sysctl -q -p /etc/sysctl.d/90-sekisho.conf
fi
put_if_changed "$here/limits/90-sekisho.conf" "$root/etc/security/limits.d/90-sekisho.conf" || true
# The command `sekisho` of whoever is logged in, and of monitoring: what `current` is.
printf '#!/bin/sh\nexec %s /opt/sekisho/current/sekisho.mjs "$@"\n' "$node" >"$scratch/sekisho"
put_if_changed "$scratch/sekisho" "$root/usr/local/bin/sekisho" 0755 || true

# The switch: at every moment there is one version or the other.
switch() {
  ln -sfn "releases/$version" "$current.new" && mv -Tf "$current.new" "$current"
}
if [ "$(readlink "$current" 2>/dev/null || true)" != "releases/$version" ]; then
  act "switch $current to version $version${installed:+ (it was $installed)}" switch
fi
if [ "$units_changed" = yes ] && [ -z "$root" ] && [ -d /run/systemd/system ]; then
  act 'tell systemd that units have changed' systemctl daemon-reload
fi

if [ "$changes" -eq 0 ]; then
  say "nothing to do: version $version is installed as it should be"
  exit 0
fi
[ "$dry_run" = no ] || exit 0
case " $units " in
  # Units that exclude each other.
  *' sekisho-relay.service'*' sekisho.service '* | *' sekisho.service'*' sekisho-relay.service '*) services='SERVICES, those that this machine is to run' ;;
  *) services=$(printf '%s\n' $units | grep '\.service$' | tr '\n' ' ') ;;
esac
say "version $version is installed. Nothing was started or restarted; next:"
[ "$is_server" = no ] || [ -f "$root/etc/sekisho/site.yaml" ] || say '  cp -r SITE/* /etc/sekisho/ && chown -R sekisho: /etc/sekisho      (from `sekisho site init`; then run this again, it checks them)'
case " $units " in *' sekisho-agent.service '*) [ -f "$root/etc/sekisho/agent.yaml" ] || say '  cp agent.yaml /etc/sekisho/ && chown sekisho: /etc/sekisho/agent.yaml      (from `sekisho device enroll`)' ;; esac
say "  systemctl enable --now $services"
say '  or, where it runs already, one machine after the other (a relay finishes its conversations first):'
say "  systemctl restart $services"
