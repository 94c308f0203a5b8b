#!/usr/bin/env bash
# Makes a Sluice worker of a machine with systemd: Debian, Ubuntu, Amazon Linux, Fedora and their kin. Runs again for an
# upgrade or another configuration; what is as it should be is left alone. See docs/workers.md.
set -euo pipefail
umask 022

usage() {
  cat <<'USAGE'
install-worker.sh install --bundle FILE|URL [options]     installs, upgrades, or changes the configuration
install-worker.sh uninstall [--purge]                     drains and removes the worker; --purge: also its data

  --bundle FILE|URL     the worker (dist/worker.mjs of `npm run build:worker`)
  --sha256 HEX          what the bundle's SHA-256 is; needed with a URL
  --url URL             the control plane
  --token-file FILE     holds a token with the role 'worker' (`-`: standard input)
  --pool NAME           --slots N    --provider local|ec2|openstack
  --set KEY=VALUE       any other line of /etc/sluice/worker.env; may come several times
  --node VERSION|FILE   a version of Node to fetch from nodejs.org, or its .tar.xz; default: the machine's own, if new enough
  --node-sha256 HEX     what that archive's SHA-256 is; default with a version: as nodejs.org says
  --no-docker           does not install Docker where there is none
  --no-start            does not start the worker
USAGE
}

fail() {
  echo "install-worker: $*" >&2
  exit 1
}

say() { echo "install-worker: $*"; }

readonly home=/opt/sluice config=/etc/sluice/worker.env state=/var/lib/sluice
readonly unit=/etc/systemd/system/sluice-worker.service command=/usr/local/bin/sluice-worker
readonly least_node=24
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here

bundle='' sha256='' node='' node_sha256='' token_file='' docker=yes start=yes purge=no
settings=()
action=${1:-}
[ $# -eq 0 ] || shift
case $action in
  install | uninstall) ;;
  -h | --help | help) usage && exit 0 ;;
  *) usage >&2 && exit 2 ;;
esac
while [ $# -gt 0 ]; do
  case $1 in
    --no-docker) docker=no && shift && continue ;;
    --no-start) start=no && shift && continue ;;
    --purge) purge=yes && shift && continue ;;
  esac
  [ $# -ge 2 ] || fail "$1 has no value, or is not known; see --help"
  case $1 in
    --bundle) bundle=$2 ;;
    --sha256) sha256=$2 ;;
    --node) node=$2 ;;
    --node-sha256) node_sha256=$2 ;;
    --token-file) token_file=$2 ;;
    --url) settings+=("SLUICE_URL=$2") ;;
    --pool) settings+=("SLUICE_POOL=$2") ;;
    --slots) settings+=("SLUICE_SLOTS=$2") ;;
    --provider) settings+=("SLUICE_PROVIDER=$2") ;;
    --set) settings+=("$2") ;;
    *) fail "$1 is not known; see --help" ;;
  esac
  shift 2
done
[ "$(id -u)" = 0 ] || fail 'run it as root: it makes a user and a service'

# There until the worker was started anew: what is changed now counts also where this script ends before that.
readonly restart_due=$home/restart-due
note_change() { : >$restart_due; }

# In a chroot or an image under construction nothing is started; the unit is enabled for the first boot.
runs_systemd() { [ -d /run/systemd/system ]; }

has_sha256() { # FILE HEX
  echo "$2  $1" | sha256sum --check --status
}

fetch() { # URL FILE
  curl --fail --silent --show-error --location --retry 5 --retry-connrefused --max-time 600 --output "$2" "$1" ||
    fail "$1 could not be fetched"
}

# Moved into place whole: what runs keeps the file it has opened.
put() { # SOURCE TARGET MODE
  install -m "$3" "$1" "$2.new" && mv -f "$2.new" "$2"
}

install_packages() {
  local missing=()
  command -v curl >/dev/null || missing+=(curl)
  command -v tar >/dev/null || missing+=(tar)
  command -v xz >/dev/null || missing+=(xz)
  command -v useradd >/dev/null || missing+=(useradd)
  if [ $docker = yes ] && ! command -v dockerd >/dev/null && [ ! -S /var/run/docker.sock ]; then missing+=(docker); fi
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  local names=" ${missing[*]} "
  if command -v apt-get >/dev/null; then
    names=${names/ xz / xz-utils } names=${names/ useradd / passwd } names=${names/ docker / docker.io }
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of names
    apt-get install -qq --no-install-recommends ca-certificates $names >/dev/null
  elif command -v dnf >/dev/null; then
    names=${names/ useradd / shadow-utils } names=${names/ docker / $(dnf -q list docker >/dev/null 2>&1 && echo docker || echo moby-engine) }
    # shellcheck disable=SC2086 # a list of names
    dnf install -y -q $names >/dev/null
  else
    fail "install these first, for there is neither apt-get nor dnf here: ${missing[*]}"
  fi
}

# The folder of a Node, in $home, that the worker runs with from its next start on.
use_node() { # FOLDER
  [ "$(readlink $home/node)" != "$1" ] || return 0
  note_change
  ln -sfn "$1" $home/node
}

major_of() { "$1" --version 2>/dev/null | sed -n 's/^v\([0-9]*\)\..*/\1/p'; }

install_node() {
  if [ -z "$node" ]; then
    [ "$(major_of $home/node/bin/node)" -ge $least_node ] 2>/dev/null && return 0
    local own
    own=$(command -v node || :)
    if [ -z "$own" ] || ! [ "$(major_of "$own")" -ge $least_node ]; then
      fail "there is no Node $least_node or newer here: --node VERSION fetches one"
    fi
    mkdir -p $home/node-of-machine/bin
    ln -sfn "$(readlink -f "$own")" $home/node-of-machine/bin/node
    use_node node-of-machine
    return 0
  fi
  local archive=$node version=$node
  if [ ! -f "$node" ]; then
    [[ $version =~ ^v?[0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "--node is a version such as 24.11.0, or a file; it is '$node'"
    version=${version#v}
    if [ -x "$home/node-v$version/bin/node" ]; then
      use_node "node-v$version"
      return 0
    fi
    local arch name
    case $(uname -m) in aarch64) arch=arm64 ;; x86_64) arch=x64 ;; *) fail "there is no Node for $(uname -m)" ;; esac
    name=node-v$version-linux-$arch.tar.xz archive=$work/$name
    fetch "https://nodejs.org/dist/v$version/$name" "$archive"
    if [ -z "$node_sha256" ]; then
      fetch "https://nodejs.org/dist/v$version/SHASUMS256.txt" "$work/sums"
      node_sha256=$(awk -v name="$name" '$2 == name { print $1 }' "$work/sums")
      [ -n "$node_sha256" ] || fail "nodejs.org tells no SHA-256 of $name"
    fi
  fi
  [ -z "$node_sha256" ] || has_sha256 "$archive" "$node_sha256" || fail "$archive is not what it should be: its SHA-256 differs"
  rm -rf $home/node.new && mkdir -p $home/node.new
  tar -xJf "$archive" -C $home/node.new --strip-components=1 --no-same-owner
  [ "$(major_of $home/node.new/bin/node)" -ge $least_node ] || fail "Node in $archive does not run here, or is older than $least_node"
  version=$($home/node.new/bin/node --version)
  note_change
  rm -rf "$home/node-$version"
  mv $home/node.new "$home/node-$version"
  use_node "node-$version"
}

check_arguments() {
  local line
  [ -n "$bundle" ] || fail '--bundle is missing; see --help'
  if [[ $bundle =~ ^https?:// ]]; then
    [ -n "$sha256" ] || fail '--sha256 is missing: what is fetched is held against it'
  else
    [ -f "$bundle" ] || fail "there is no file $bundle"
  fi
  for line in ${settings[@]+"${settings[@]}"}; do
    [[ $line =~ ^[A-Za-z_][A-Za-z0-9_]*=[^$'\n']*$ ]] || fail "${line%%=*} is not of the form KEY=VALUE"
  done
}

# Sets `bundle` to a file that is what it should be.
bring_bundle() {
  if [[ $bundle =~ ^https?:// ]]; then
    fetch "$bundle" "$work/worker.mjs"
    bundle=$work/worker.mjs
  fi
  [ -z "$sha256" ] || has_sha256 "$bundle" "$sha256" || fail "the bundle is not what it should be: its SHA-256 differs"
}

install_bundle() {
  local told
  told=$($home/node/bin/node "$bundle" --version) || fail "the bundle does not run"
  if ! cmp -s "$bundle" $home/worker.mjs; then
    note_change
    [ ! -f $home/worker.mjs ] || put $home/worker.mjs $home/worker.previous.mjs 644
    put "$bundle" $home/worker.mjs 644
  fi
  say "the worker is $told"
}

make_user() {
  getent group docker >/dev/null || groupadd --system docker
  getent passwd sluice >/dev/null ||
    useradd --system --user-group --home-dir $state --no-create-home --shell /usr/sbin/nologin sluice
}

# Replaces lines and adds what was not there; all else of the file stays. Nobody else reads it, not for a moment.
write_config() {
  install -d -m 750 -o root -g sluice /etc/sluice
  local new=$work/worker.env line
  if [ -f $config ]; then cat $config >"$new"; fi
  if [ -n "$token_file" ]; then
    local token
    token=$(cat "$([ "$token_file" = - ] && echo /dev/stdin || echo "$token_file")") || fail "$token_file cannot be read"
    [[ $token =~ ^[^$'\n']+$ ]] || fail "$token_file does not hold one line with a token"
    settings+=("SLUICE_TOKEN=$token")
  fi
  for line in ${settings[@]+"${settings[@]}"}; do
    grep -v "^${line%%=*}=" "$new" >"$new.rest" || :
    { cat "$new.rest" && printf '%s\n' "$line"; } >"$new"
  done
  cmp -s "$new" $config && [ "$(stat -c '%a %U' $config)" = '600 sluice' ] && return 0
  note_change
  install -m 600 -o sluice -g sluice "$new" $config.new
  mv -f $config.new $config
}

write_unit() {
  local source=$here/sluice-worker.service
  [ -f "$source" ] || source=$here/worker/sluice-worker.service
  [ -f "$source" ] || fail "sluice-worker.service is not beside $0"
  if ! cmp -s "$source" $unit; then
    note_change
    install -D -m 644 "$source" $unit.new
    mv -f $unit.new $unit
  fi
  cat >"$work/command" <<'COMMAND'
#!/bin/sh
# The worker as its service runs it: with its configuration and as its user.
export SLUICE_CONFIG="${SLUICE_CONFIG:-/etc/sluice/worker.env}"
if [ "$(id -u)" = 0 ]; then
  exec setpriv --reuid=sluice --regid=sluice --groups=docker /opt/sluice/node/bin/node /opt/sluice/worker.mjs "$@"
fi
exec /opt/sluice/node/bin/node /opt/sluice/worker.mjs "$@"
COMMAND
  install -d /usr/local/bin && put "$work/command" $command 755
}

start_worker() {
  if ! runs_systemd; then
    rm -f $restart_due
    install -d /etc/systemd/system/multi-user.target.wants
    ln -sfn $unit /etc/systemd/system/multi-user.target.wants/
    say "systemd does not run here: the worker starts with the machine"
    return 0
  fi
  systemctl daemon-reload
  if [ $docker = yes ] && systemctl cat docker.service >/dev/null 2>&1; then systemctl enable --now --quiet docker.service; fi
  systemctl enable --quiet sluice-worker
  [ $start = yes ] || return 0
  if ! systemctl is-active --quiet sluice-worker; then
    systemctl start sluice-worker
  elif [ -f $restart_due ]; then
    say 'the worker that runs drains, then the new one starts'
    systemctl restart sluice-worker
  fi
  rm -f $restart_due
}

install_worker() {
  check_arguments
  work=$(umask 077 && mktemp -d)
  # What the files hold is secret until they are in place.
  trap 'rm -rf "$work"' EXIT
  mkdir -p $home
  install_packages
  bring_bundle
  install_node
  install_bundle
  make_user
  (umask 077 && : >"$work/worker.env")
  write_config
  install -d -m 700 -o sluice -g sluice $state
  write_unit
  start_worker
  say "done; sluice-worker doctor says what may be missing"
}

uninstall_worker() {
  if runs_systemd && systemctl cat sluice-worker.service >/dev/null 2>&1; then
    say 'the worker drains'
    systemctl disable --now --quiet sluice-worker || fail 'it could not be stopped; nothing was removed'
  fi
  rm -f $unit /etc/systemd/system/multi-user.target.wants/sluice-worker.service $command
  ! runs_systemd || systemctl daemon-reload
  # What somebody else has put there stays.
  rm -rf $home/node $home/node.new $home/node-of-machine $home/node-v[0-9]* $home/worker.mjs* $home/worker.previous.mjs* $restart_due
  [ ! -d $home ] || rmdir --ignore-fail-on-non-empty $home
  if [ $purge = no ]; then
    say "$config and $state are left (--purge removes them); Docker stays"
    return 0
  fi
  rm -rf /etc/sluice $state
  # A user of that name with another home was there before the worker.
  if [ "$(getent passwd sluice | cut -d: -f6)" = $state ]; then userdel sluice; fi
  say 'removed; Docker and what it holds stay'
}

"${action}_worker"
