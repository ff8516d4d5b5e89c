#!/bin/sh
# Makes the guestbook's own images on the engine that docker talks to, each
# FROM scratch around one static Go program. Unchanged sources give the same
# image, so building again is cheap and changes nothing.
#
#	images.sh [build|remove]
set -eu
cd "$(dirname "$0")"

programs='frontend digest'

build() {
	arch=$(docker version --format '{{.Server.Arch}}')
	context=$(mktemp -d)
	trap 'rm -rf "$context"' EXIT
	for program in $programs; do
		CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -trimpath -buildvcs=false -ldflags='-s -w' -o "$context/$program" "./$program"
		log=$(docker build --tag "guestbook-$program:dev" --file "$program/Dockerfile" "$context" 2>&1) || {
			echo "$log" >&2
			exit 1
		}
	done
	prune
}

# prune drops images of ours that a newer build has taken the name from.
prune() { docker image prune --force --filter label=dev.cuepod.example=guestbook >/dev/null; }

remove() {
	for program in $programs; do
		if docker image inspect "guestbook-$program:dev" >/dev/null 2>&1; then
			docker image rm "guestbook-$program:dev" >/dev/null
		fi
	done
	prune
}

case ${1:-build} in
build) build ;;
remove) remove ;;
*)
	echo "usage: images.sh [build|remove]" >&2
	exit 2
	;;
esac
