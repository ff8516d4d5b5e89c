#!/bin/sh
# Makes the shop's own image on the engine that docker talks to, FROM scratch
# around one static Go program. Unchanged sources give the same image, so building
# again is cheap and changes nothing.
#
#	images.sh [build|remove]
set -eu
cd "$(dirname "$0")"

image=shop-store:dev

build() {
	arch=$(docker version --format '{{.Server.Arch}}')
	context=$(mktemp -d)
	trap 'rm -rf "$context"' EXIT
	CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -trimpath -buildvcs=false -ldflags='-s -w' -o "$context/store" ./store
	log=$(docker build --tag "$image" --file store/Dockerfile "$context" 2>&1) || {
		echo "$log" >&2
		exit 1
	}
	prune
}

# prune drops images of ours that a newer build has taken the name from.
prune() { docker image prune --force --filter label=dev.cuepod.example=shop >/dev/null; }

remove() {
	if docker image inspect "$image" >/dev/null 2>&1; then
		docker image rm "$image" >/dev/null
	fi
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
