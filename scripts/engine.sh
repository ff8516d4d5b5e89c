#!/bin/sh
# engine.sh finds a container engine, or starts a private one, for people, tests
# and CI alike.
#
#   engine.sh find    print the address of a reachable engine; exit 1 when there is none
#   engine.sh start   the same, but start a private engine when there is none (as root)
#   engine.sh env     print the line that makes a shell use what find finds: eval "$(engine.sh env)"
#   engine.sh stop    stop the private engine; no other is ever touched
#   engine.sh purge   stop it and delete its images, containers and volumes
#
# An engine is looked for where the docker command looks: DOCKER_HOST, the docker
# context, the default socket; then the private one. CUEPOD_ENGINE_FORCE_PRIVATE=1
# looks only for the private one, CUEPOD_ENGINE_DIR gives that another home.
#
# The private engine is Debian's docker.io with everything its own: socket,
# containerd, data and default bridge. It survives the shell that starts it.
set -eu

PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" # dockerd and iptables, where a user's path lacks them
run="${CUEPOD_ENGINE_DIR:-${XDG_RUNTIME_DIR:-/run}/cuepod-engine}"
data="${CUEPOD_ENGINE_DIR:+$CUEPOD_ENGINE_DIR/data}"
data="${data:-${XDG_STATE_HOME:-/var/lib}/cuepod-engine}"
socket="$run/docker.sock"
bridge="cuepod$(printf %s "$run" | cksum | cut -c1-6)" # 15 characters at most; one per home
patience=60 # seconds until an engine that starts has to answer

say() { printf '%s\n' "engine.sh: $*" >&2; }
die() {
	say "$*"
	exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# answers tells whether an engine is at a Unix socket, with whatever is here to
# ask: perl is on every Debian.
answers() {
	[ -S "$1" ] || return 1
	if have curl; then
		curl -sf -m 10 --unix-socket "$1" http://engine/_ping >/dev/null 2>&1
	else
		# shellcheck disable=SC2016 # these are perl's variables
		timeout 10 perl -MIO::Socket::UNIX -e '
			my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or exit 1;
			print $s "GET /_ping HTTP/1.0\r\n\r\n";
			exit(<$s> =~ / 200 / ? 0 : 1)' "$1" 2>/dev/null
	fi
}

# docker_answers tells whether the docker command reaches an engine.
docker_answers() {
	have docker && timeout 20 docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

# outer prints the address of an engine that is not ours.
outer() {
	[ "${CUEPOD_ENGINE_FORCE_PRIVATE:-}" != 1 ] || return 1
	host="${DOCKER_HOST:-}"
	if [ -z "$host" ] && have docker; then
		host="$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null)" || host=
	fi
	host="${host:-unix:///var/run/docker.sock}"
	case "$host" in
	unix://*) answers "${host#unix://}" || return 1 ;;
	*) docker_answers || return 1 ;;
	esac
	printf '%s\n' "$host"
}

find_engine() {
	outer && return
	answers "$socket" && printf 'unix://%s\n' "$socket"
}

print_env() {
	host="$(find_engine)" || die "no container engine is reachable; start one with: $0 start"
	if [ -z "${DOCKER_HOST:-}" ] && [ "$host" != "unix://$socket" ]; then
		return # the environment leads there as it is; a context may hold more than an address
	fi
	printf "export DOCKER_HOST='%s'\n" "$host"
}

# install_packages brings what the private engine needs and is not here.
install_packages() {
	need=
	have dockerd || need="$need docker.io"
	have iptables || need="$need iptables"
	have ip || need="$need iproute2"
	if [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ] && ! have apparmor_parser; then
		need="$need apparmor" # the engine refuses to run containers without
	fi
	grep -q ' cgroup' /proc/mounts || need="$need cgroupfs-mount"
	[ -n "$need" ] || return 0
	have apt-get || die "needs$need, and knows only Debian's way to install; please install an engine"
	say "installing$need"
	log="$(mktemp)"
	# shellcheck disable=SC2086 # several words
	if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $need; } >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		rm -f "$log"
		die "cannot install$need"
	fi
	rm -f "$log"
}

# wait_until runs a command until it succeeds or the process $1 is gone or
# patience is at its end.
wait_until() {
	pid="$1"
	shift
	tries=$((patience * 5))
	until "$@"; do
		tries=$((tries - 1))
		if [ "$tries" -le 0 ] || ! kill -0 "$pid" 2>/dev/null; then
			return 1
		fi
		sleep 0.2
	done
}

# make_bridge gives the engine a default bridge of its own: docker0 may belong
# to another engine, and two engines on one bridge hand out the same addresses.
make_bridge() {
	ip link show "$bridge" >/dev/null 2>&1 && return
	for third in 250 251 252 253 254; do
		if ! ip -4 route show | grep -q "^172\.31\.$third\."; then
			ip link add "$bridge" type bridge
			ip addr add "172.31.$third.1/24" dev "$bridge"
			ip link set "$bridge" up
			return
		fi
	done
	die "no free network for the bridge $bridge"
}

# beside_another tells whether another engine runs on this network. An engine
# that starts deletes and remakes the firewall chains that the other relies on,
# so ours has to keep its hands off. Ours does not run when this is asked.
beside_another() {
	grep -qx dockerd /proc/[0-9]*/comm 2>/dev/null && iptables -n -L DOCKER >/dev/null 2>&1
}

# firewall prints the engine's flags, and lets packets between containers of one
# bridge pass where another engine drops what it does not know.
firewall() {
	if beside_another; then
		echo "--iptables=false --ip-masq=false"
		iptables -C FORWARD -m physdev --physdev-is-bridged -m comment --comment "$bridge" -j ACCEPT 2>/dev/null ||
			iptables -I FORWARD -m physdev --physdev-is-bridged -m comment --comment "$bridge" -j ACCEPT
	fi
}

start_containerd() {
	# Its plugin for Kubernetes would open a port.
	printf '%s\n' 'version = 2' 'disabled_plugins = ["io.containerd.grpc.v1.cri"]' >"$run/containerd.toml"
	setsid containerd --config "$run/containerd.toml" --address "$run/containerd.sock" \
		--root "$data/containerd" --state "$run/containerd" \
		</dev/null >"$run/containerd.log" 2>&1 9>&- &
	echo $! >"$run/containerd.pid"
	wait_until $! test -S "$run/containerd.sock" || {
		tail -n 20 "$run/containerd.log" >&2
		end_all
		die "containerd does not start"
	}
}

start_dockerd() {
	flags="$(firewall)"
	echo '{}' >"$run/docker.json" # not the system's configuration
	# shellcheck disable=SC2086 # several words
	setsid dockerd --host "unix://$socket" --containerd "$run/containerd.sock" \
		--config-file "$run/docker.json" --data-root "$data/docker" --exec-root "$run/docker" --pidfile "$run/docker.pid" \
		--bridge "$bridge" --exec-opt native.cgroupdriver=cgroupfs $flags \
		</dev/null >"$run/docker.log" 2>&1 9>&- &
	wait_until $! answers "$socket" || {
		tail -n 20 "$run/docker.log" >&2
		end_all
		die "dockerd does not start"
	}
}

start() {
	if find_engine; then
		return
	fi
	[ "$(id -u)" = 0 ] || die "no container engine is reachable, and only root can start one"
	install_packages
	if outer; then
		return # the package has started the system's own
	fi
	mkdir -p "$run" "$data"
	chmod 700 "$run" "$data"
	exec 9>"$run/lock"
	flock 9 # whoever else is starting it is done after this
	if ! answers "$socket"; then
		end_all # what a crash has left
		grep -q ' cgroup' /proc/mounts || cgroupfs-mount
		make_bridge
		start_containerd
		start_dockerd
	fi
	printf 'unix://%s\n' "$socket"
}

# end stops the process of a pid file, if it is still the one that we started:
# its command line names our directory.
end() {
	pid="$(cat "$1" 2>/dev/null)" || return 0
	if [ -n "$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$run/"; then
		kill "$pid" 2>/dev/null || :
		tries=$((patience * 5))
		while kill -0 "$pid" 2>/dev/null; do
			tries=$((tries - 1))
			[ "$tries" -gt 0 ] || kill -KILL "$pid" 2>/dev/null || :
			sleep 0.2
		done
	fi
	rm -f "$1"
}

end_all() {
	end "$run/docker.pid" # stops its containers
	end "$run/containerd.pid"
	rm -f "$socket" "$run/containerd.sock"
}

stop() {
	[ -d "$run" ] || return 0
	[ "$(id -u)" = 0 ] || die "only root can stop the private engine"
	end_all
	while iptables -D FORWARD -m physdev --physdev-is-bridged -m comment --comment "$bridge" -j ACCEPT 2>/dev/null; do :; done
	ip link delete "$bridge" 2>/dev/null || :
	awk -v dir="$run/" 'index($2, dir) == 1 {print $2}' /proc/mounts | sort -r | while read -r mount; do
		umount -l "$mount" || :
	done
	# With CUEPOD_ENGINE_DIR the data lie below.
	find "$run" -mindepth 1 -maxdepth 1 ! -path "$data" -exec rm -rf {} +
	rmdir "$run" 2>/dev/null || :
}

# empty removes the engine's containers and networks: the kernel would keep the
# networks' bridges, and lead what the next engine has at their addresses nowhere.
empty() {
	have docker && answers "$socket" || return 0
	docker -H "unix://$socket" ps -aq | xargs -r docker -H "unix://$socket" rm -f >/dev/null || :
	docker -H "unix://$socket" network prune -f >/dev/null || :
}

purge() {
	empty
	stop
	if [ -d "$data" ]; then
		awk -v dir="$data/" 'index($2, dir) == 1 {print $2}' /proc/mounts | sort -r | while read -r mount; do
			umount -l "$mount" || :
		done
		rm -rf "$data"
	fi
	rmdir "$run" 2>/dev/null || :
}

case "${1:-}" in
find) find_engine || exit 1 ;;
start) start ;;
env) print_env ;;
stop) stop ;;
purge) purge ;;
*)
	sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p;}' "$0" >&2
	exit 2
	;;
esac
