#!/bin/sh
# Runs the guestbook and signs it as a visitor would, through the frontend. It
# needs cuepod on the PATH and the images on the engine.
#
#	demo.sh [run|clean]
set -eu
cd "$(dirname "$0")"

run() {
	cuepod up -d --wait .
	echo
	cuepod ps .
	echo
	echo "The guestbook is at http://127.0.0.1:30080/"
	go run ./sign "signed by make demo" http://127.0.0.1:30080/
	echo
	echo "Follow your edits of examples/guestbook: bin/cuepod up examples/guestbook"
	echo "Remove all of it:                        make demo-clean"
}

# clean removes what run made, with the guestbook's images and cuepod's own.
clean() {
	cuepod down --volumes .
	./images.sh remove
	for image in $(docker image ls --quiet --filter label=dev.cuepod.infra=true); do
		# Another app's pods may still run on it.
		docker image rm "$image" >/dev/null 2>&1 || echo "image $image is in use and stays"
	done
}

case ${1:-run} in
run) run ;;
clean) clean ;;
*)
	echo "usage: demo.sh [run|clean]" >&2
	exit 2
	;;
esac
