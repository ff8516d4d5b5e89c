#!/bin/sh
# compose.sh prints a command that runs Docker Compose: "docker compose" where
# that works, else the path of a docker-compose that it builds from source once
# and keeps.
#
# CUEPOD_COMPOSE_VERSION is the version to build, CUEPOD_CACHE where to keep it,
# CUEPOD_COMPOSE_BUILD=1 builds even where docker compose works.
set -eu

version="${CUEPOD_COMPOSE_VERSION:-v2.40.3}"
cache="${CUEPOD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cuepod}/compose/$version"
program="$cache/docker-compose"

die() {
	printf '%s\n' "compose.sh: $*" >&2
	exit 1
}

if [ "${CUEPOD_COMPOSE_BUILD:-}" != 1 ] && docker compose version >/dev/null 2>&1; then
	echo docker compose
	exit
fi
if [ -x "$program" ]; then
	echo "$program"
	exit
fi

case "$version" in
v2.*) module=github.com/docker/compose/v2 ;;
*) module="github.com/docker/compose/${version%%.*}" ;;
esac
work="$(mktemp -d)"
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

# go install refuses a module with replace directives, so it is built as its
# authors do: within its source. The module cache is read-only; copy it.
source="$(cd "$work" && GOFLAGS=-mod=mod go mod download -json "$module@$version" 2>"$work/log" |
	sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p')"
[ -n "$source" ] || {
	cat "$work/log" >&2
	die "cannot download $module@$version"
}
cp -R "$source" "$work/source"
chmod -R u+w "$work/source"
mkdir -p "$cache"
(
	cd "$work/source"
	GOWORK=off GOFLAGS=-mod=mod CGO_ENABLED=0 go build -trimpath \
		-ldflags "-s -w -X $module/internal.Version=$version" -o "$work/docker-compose" ./cmd
) >"$work/log" 2>&1 || {
	tail -n 30 "$work/log" >&2
	die "cannot build $module@$version"
}
"$work/docker-compose" version >/dev/null || die "the built docker-compose does not run"
mv "$work/docker-compose" "$program.$$" # into place at once: others may wait for it
mv "$program.$$" "$program"
echo "$program"
