# Sourced by the checks of this folder: TAP, a case each.
# shellcheck shell=sh
tap_n=0
tap_failed=0

# tap_case NAME FINDINGS: passes when there are none.
tap_case() {
	tap_n=$((tap_n + 1))
	if [ -z "$2" ]; then
		echo "ok $tap_n - $1"
	else
		tap_failed=1
		echo "not ok $tap_n - $1"
		printf '%s\n' "$2" | sed 's/^/# /'
	fi
}

# tap_need TOOL: without it the whole check is skipped.
tap_need() {
	command -v "$1" >/dev/null && return
	echo "1..0 # SKIP there is no $1"
	exit 0
}

tap_skip() {
	tap_n=$((tap_n + 1))
	echo "ok $tap_n - $1 # SKIP $2"
}

tap_end() {
	echo "1..$tap_n"
	exit "$tap_failed"
}

# Files of the tree, without what a build made.
tap_files() {
	find . \( -name .git -o -name 'build*' -o -path ./run \) -prune -o -type f -print | sed 's|^\./||' | LC_ALL=C sort
}
