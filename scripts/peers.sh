#!/usr/bin/env bash
# Installs the independent implementations that tests compare ours with: DynamoDB Local (needs Java), ElasticMQ (needs
# Java and Maven), moto (needs Python 3 with venv). Pinned by the files in test/peers; what is there already is kept.
#   scripts/peers.sh                 installs all
#   scripts/peers.sh dynamodb-local  installs one of dynamodb-local, elasticmq, moto
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
manifests=$root/test/peers
peers=$root/.peers

retry() {
  local attempt
  for attempt in 1 2 3 4; do
    if "$@"; then return 0; fi
    echo "peers: attempt $attempt of 4 failed: $*" >&2
    sleep $((attempt * 3))
  done
  return 1
}

# install NAME MANIFEST COMMAND: runs COMMAND FOLDER unless FOLDER was made from the same MANIFEST and this script.
install() {
  local name=$1 manifest=$2 command=$3 folder=$peers/$1 stamp
  stamp=$(cat "$manifests/$manifest" "$root/scripts/peers.sh" | cksum)
  if [ "$(cat "$folder/.installed" 2>/dev/null || true)" = "$stamp" ]; then
    echo "peers: $name is there"
    return 0
  fi
  echo "peers: installing $name"
  rm -rf "$folder"
  mkdir -p "$folder"
  "$command" "$folder"
  echo "$stamp" > "$folder/.installed"
}

install_dynamodb_local() {
  cp "$manifests/package.json" "$manifests/package-lock.json" "$manifests/.npmrc" "$1/"
  retry npm ci --prefix "$1" --ignore-scripts --loglevel=error
}

install_elasticmq() {
  retry mvn --batch-mode --quiet --file "$manifests/pom.xml" \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$1/lib"
}

install_moto() {
  python3 -m venv "$1"
  retry "$1/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$manifests/requirements.txt"
}

mkdir -p "$peers"
# Two installs at once would empty each other's folders.
exec 9>"$peers/.lock"
flock --timeout 600 9

for name in "${@:-dynamodb-local elasticmq moto}"; do
  for peer in $name; do
    case $peer in
      dynamodb-local) install "$peer" package-lock.json install_dynamodb_local ;;
      elasticmq) install "$peer" pom.xml install_elasticmq ;;
      moto) install "$peer" requirements.txt install_moto ;;
      *) echo "peers: unknown peer '$peer': use dynamodb-local, elasticmq or moto" >&2; exit 2 ;;
    esac
  done
done
