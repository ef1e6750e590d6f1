# Sourced by quickstart and run-tests: packages and build. POSIX sh.
# shellcheck shell=sh

setup_build_packages="gcc libc6-dev meson ninja-build pkg-config libnng-dev libprotobuf-c-dev protobuf-c-compiler liblmdb-dev \
libconfuse-dev libjansson-dev uthash-dev libsmartcols-dev libmd-dev"
setup_test_packages="check gcovr nng-utils protobuf-compiler mandoc shellcheck cppcheck strace binutils procps \
init-system-helpers sysvinit-utils lsb-base file bash dash python3 jq"

# setup_packages build|test: installs what is missing of the named set; without root only says what is missing.
setup_packages()
{
	wanted=$setup_build_packages
	[ "$1" = test ] && wanted="$wanted $setup_test_packages"
	missing=
	for p in $wanted; do
		case $(dpkg-query -W -f '${Status}' "$p" 2>/dev/null) in
		"install ok installed") ;;
		*) missing="$missing $p" ;;
		esac
	done
	[ -n "$missing" ] || return 0
	sudo=
	if [ "$(id -u)" -ne 0 ]; then
		if command -v sudo >/dev/null 2>&1; then
			sudo=sudo
		else
			echo "missing packages:$missing" >&2
			echo "  not root, and there is no sudo to install them with" >&2
			echo "  as root: apt-get update && apt-get install --no-install-recommends$missing" >&2
			return 77
		fi
	fi
	log=$(mktemp)
	echo "installing$missing"
	if ! $sudo apt-get update -q >"$log" 2>&1; then
		echo "failed: apt-get update (log: $log)" >&2
		echo "  check the network and /etc/apt/sources.list, then try again" >&2
		return 69
	fi
	# shellcheck disable=SC2086
	if ! $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >"$log" 2>&1; then
		tail -5 "$log" >&2
		echo "failed: apt-get install$missing (log: $log)" >&2
		echo "  install them by hand, then try again" >&2
		return 69
	fi
	sed -n 's/^Need to get \(.*\) of archives.*/fetched \1/p; s/^After this operation, \(.*\)/\1/p' "$log"
	rm -f "$log"
}

# setup_build DIR LOG [meson option...]: configures DIR once and builds it.
setup_build()
{
	dir=$1
	log=$2
	shift 2
	if [ ! -f "$dir/build.ninja" ]; then
		rm -rf "$dir"
		meson setup "$dir" "$@" >"$log" 2>&1 || {
			tail -20 "$log" >&2
			echo "failed: meson setup $dir $* (log: $log)" >&2
			return 71
		}
	elif [ $# -gt 0 ]; then
		meson configure "$dir" "$@" >"$log" 2>&1 || {
			tail -20 "$log" >&2
			echo "failed: meson configure $dir $* (log: $log); remove $dir and try again" >&2
			return 71
		}
	fi
	ninja -C "$dir" >>"$log" 2>&1 || {
		tail -40 "$log" >&2
		echo "failed: ninja -C $dir (log: $log)" >&2
		return 71
	}
}
