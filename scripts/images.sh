#!/bin/sh
# images.sh makes images that cannot be pulled.
#
#   images.sh redis [REF]   a Redis server as REF (redis:7.0): nothing to do when the engine has
#                           it; else pulled; else made from the Redis package of Debian
#   images.sh nginx [REF]   an nginx as REF (nginx:1.29), in the same way
#   images.sh haproxy [REF] an HAProxy as REF (haproxy:2.6), in the same way
#   images.sh postgres [REF]
#                           a PostgreSQL server as REF (postgres:15), in the same way
#   images.sh clean         remove the images that were made, those in use excepted
#
# What is made carries a label, and is made anew when this script has changed.
# It uses the engine of the environment; see engine.sh env. It is quiet unless it
# fails. CUEPOD_NO_PULL=1 makes the image without trying to pull.
set -eu

label=dev.cuepod.recipe # on images that were made here; its value names the recipe
patience=120 # seconds for a pull, which fails sooner where no registry is in reach

die() {
	printf '%s\n' "images.sh: $*" >&2
	exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# quietly runs a command and shows what it said only when it fails.
quietly() {
	"$@" >"$work/log" 2>&1 || {
		tail -n 30 "$work/log" >&2
		die "failed: $1"
	}
}

pull() {
	[ "${CUEPOD_NO_PULL:-}" != 1 ] && timeout "$patience" docker pull -q "$1" >/dev/null 2>&1
}

need_mmdebstrap() {
	have mmdebstrap && return
	have apt-get || die "cannot pull $1, and can make it only on Debian"
	[ "$(id -u)" = 0 ] || die "cannot pull $1; to make it, install mmdebstrap"
	quietly apt-get update
	quietly env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends mmdebstrap
}

# sources prints the files that say where this machine's packages of a suite
# come from. None means mmdebstrap's own choice.
sources() {
	for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
		if grep -qsw "$1" "$file"; then
			echo "$file"
		fi
	done
}

# options prints this machine's settings of apt that a mirror may need.
options() {
	apt-config dump 2>/dev/null | grep -E '^Acquire::(Check-|http|https|ftp)' || :
}

# redis_entrypoint takes arguments as the well-known image does: a first argument
# that is an option or a file is for redis-server. Debian's build refuses
# strangers while no password is set; in a container that leaves nobody.
redis_entrypoint() {
	cat <<'END'
#!/bin/sh
case "$1" in
-* | *.conf) set -- redis-server "$@" ;;
esac
case "$*" in
redis-server*protected-mode*) ;;
redis-server*) set -- "$@" --protected-mode no ;;
esac
exec "$@"
END
}

# nginx_conf lays things out as the well-known image does.
nginx_conf() {
	cat <<'END'
worker_processes auto;
pid /run/nginx.pid;
error_log /dev/stderr notice;
events {}
http {
	include mime.types;
	default_type application/octet-stream;
	access_log /dev/stdout;
	sendfile on;
	include conf.d/*.conf;
}
END
}

nginx_site() {
	cat <<'END'
server {
	listen 80;
	location / {
		root /usr/share/nginx/html;
		index index.html;
	}
}
END
}

# postgres_entrypoint makes the database at the first start as the well-known
# image does, from the same variables, and never as root.
postgres_entrypoint() {
	cat <<'END'
#!/bin/sh
set -eu
case "${1:-}" in
-*) set -- postgres "$@" ;;
esac
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
	: "${POSTGRES_PASSWORD:?is to be the password of ${POSTGRES_USER:=postgres}}"
	: "${POSTGRES_DB:=${POSTGRES_USER:=postgres}}"
	mkdir -p "$PGDATA"
	initdb --username="$POSTGRES_USER" --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --pwfile=/dev/stdin <<PASSWORD
$POSTGRES_PASSWORD
PASSWORD
	echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
	if [ "$POSTGRES_DB" != postgres ]; then
		printf 'CREATE DATABASE "%s";\n' "$POSTGRES_DB" | postgres --single -j postgres
	fi
fi
if [ "$1" = postgres ]; then
	chmod 700 "$PGDATA" 2>/dev/null || : # a pod's fsGroup may write to it, which the server takes for a mistake
fi
exec "$@"
END
}

# extract makes $work/root.tar: the files of some packages and no more, no
# scripts run. The image's reference, the packages and mmdebstrap's hooks are
# its arguments.
extract() {
	ref=$1 packages=$2
	shift 2
	need_mmdebstrap "$ref"
	# shellcheck source=/dev/null
	suite="$(. /etc/os-release && echo "$VERSION_CODENAME")"
	options >"$work/apt.conf"
	# coreutils and grep are for probes and for people; perl comes as a dependency
	# of the scripts that do not run.
	# shellcheck disable=SC2016,SC2046 # $1 is the hook's; one word per file
	quietly mmdebstrap --variant=extract --include="$packages,dash,coreutils,grep" --aptopt="$work/apt.conf" \
		--extract-hook='mkdir -p "$1/tmp" "$1/run" "$1/usr/local/bin"; chmod 1777 "$1/tmp"' "$@" \
		--extract-hook='cd "$1" && rm -rf usr/share/doc usr/share/man usr/share/locale usr/share/perl* usr/lib/*/perl usr/lib/*/libperl*' \
		"$suite" "$work/root.tar" $(sources "$suite")
}

# load imports $work/root.tar as the image $1, with Dockerfile instructions after.
load() {
	ref=$1
	shift
	quietly docker import "$@" --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
		--change "LABEL $label=$recipe" --message "made from Debian's packages" "$work/root.tar" "$ref"
}

make_redis() {
	redis_entrypoint >"$work/entrypoint"
	# shellcheck disable=SC2016 # $1 is the hook's
	extract "$1" redis-server,redis-tools --extract-hook='mkdir "$1/data" && chown 999:999 "$1/data"' \
		--extract-hook="install -m 755 '$work/entrypoint' \"\$1/usr/local/bin/docker-entrypoint.sh\""
	load "$1" --change 'ENTRYPOINT ["docker-entrypoint.sh"]' --change 'CMD ["redis-server"]' \
		--change 'WORKDIR /data' --change 'EXPOSE 6379'
}

make_nginx() {
	nginx_conf >"$work/nginx.conf"
	nginx_site >"$work/default.conf"
	# shellcheck disable=SC2016 # $1 is the hook's
	extract "$1" nginx-light,libnginx-mod-stream --extract-hook='cd "$1" && mkdir -p etc/nginx/conf.d usr/share/nginx/html var/log/nginx var/lib/nginx' \
		--extract-hook='printf "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n" >"$1/etc/passwd"; printf "root:x:0:\nnogroup:x:65534:\n" >"$1/etc/group"' \
		--extract-hook="install -m 644 '$work/nginx.conf' \"\$1/etc/nginx/nginx.conf\"" \
		--extract-hook="install -m 644 '$work/default.conf' \"\$1/etc/nginx/conf.d/default.conf\""
	load "$1" --change 'CMD ["nginx", "-g", "daemon off;"]' --change 'EXPOSE 80'
}

make_haproxy() {
	# shellcheck disable=SC2016 # $1 is the hook's
	extract "$1" haproxy --extract-hook='printf "root:x:0:0::/:/bin/sh\nhaproxy:x:99:99::/:/bin/false\n" >"$1/etc/passwd"; printf "root:x:0:\nhaproxy:x:99:\n" >"$1/etc/group"'
	load "$1" --change 'CMD ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]'
}

# make_postgres leaves out the compiler of queries, which is larger than all the
# rest; the server does without. initdb wants to know who it is. mmdebstrap empties
# /run, so /var/run, where the socket is, does not lead there.
make_postgres() {
	postgres_entrypoint >"$work/entrypoint"
	# shellcheck disable=SC2016 # $1 is the hook's
	extract "$1" postgresql --extract-hook='cd "$1" && rm -rf usr/lib/*/libLLVM* usr/lib/postgresql/*/lib/llvmjit* usr/lib/postgresql/*/lib/bitcode
			rm -rf var/run && mkdir -p var/lib/postgresql/data var/run/postgresql && chown 999:999 var/lib/postgresql var/lib/postgresql/data var/run/postgresql
			printf "root:x:0:0::/root:/bin/sh\npostgres:x:999:999::/var/lib/postgresql:/bin/sh\n" >etc/passwd; printf "root:x:0:\npostgres:x:999:\n" >etc/group
			for conf in usr/share/postgresql/*/postgresql.conf.sample; do echo "listen_addresses = '\''*'\''" >>"$conf"; done
			for program in usr/lib/postgresql/*/bin/*; do ln -s "/$program" usr/local/bin/; done' \
		--extract-hook="install -m 755 '$work/entrypoint' \"\$1/usr/local/bin/docker-entrypoint.sh\""
	load "$1" --change 'ENTRYPOINT ["docker-entrypoint.sh"]' --change 'CMD ["postgres"]' \
		--change 'ENV LANG=C.UTF-8' --change 'ENV PGDATA=/var/lib/postgresql/data' --change 'USER 999:999' --change 'EXPOSE 5432'
	# At TERM it waits for its clients to go. An import takes no STOPSIGNAL.
	printf 'FROM %s\nSTOPSIGNAL SIGINT\n' "$1" >"$work/Dockerfile"
	mkdir "$work/empty"
	quietly docker build --tag "$1" --file "$work/Dockerfile" "$work/empty"
}

# current tells whether the engine has an image that needs no work: somebody
# else's, or one that was made by this very recipe.
current() {
	made="$(docker image inspect --format "{{with .Config.Labels}}{{index . \"$label\"}}{{end}}" "$1" 2>/dev/null)" || return 1
	[ -z "$made" ] || [ "$made" = "$recipe" ]
}

# provide makes an image with the function $1 when the engine lacks $2.
provide() {
	current "$2" || pull "$2" || "$1" "$2"
}

clean() {
	for image in $(docker image ls -q --filter "label=$label" | sort -u); do
		docker image rm -f "$image" >/dev/null 2>&1 || : # a container may use it
	done
}

have docker || die "needs the docker command; it comes with Debian's docker.io and docker-cli"
timeout 20 docker version >/dev/null 2>&1 || die "no container engine is reachable; see engine.sh start"
recipe="$(cksum <"$0" | tr ' ' -)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # mmdebstrap may drop its rights
case "${1:-}" in
redis) provide make_redis "${2:-redis:7.0}" ;;
nginx) provide make_nginx "${2:-nginx:1.29}" ;;
haproxy) provide make_haproxy "${2:-haproxy:2.6}" ;;
postgres) provide make_postgres "${2:-postgres:15}" ;;
clean) clean ;;
*)
	sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p;}' "$0" >&2
	exit 2
	;;
esac
