#!/bin/sh
# What `cmake --install` puts down works from there: the programs find each other and the model, the manual pages are
# pages, the shell completes. usage: install.sh BUILD_DIRECTORY SOURCE_DIRECTORY
set -eu
build=$1 source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "install.sh: $*" >&2; exit 1; }

cmake --install "$build" --prefix "$work/usr" --component millrace >"$work/log" || { cat "$work/log"; fail "cmake --install"; }
[ -x "$work/usr/bin/millrace-worker" ] || fail "no worker"

cd "$work" # nothing of the source tree is near
text=$("$work/usr/bin/millrace" generate --seed 7 --length 48 --steps 2 "Once upon" 2>"$work/err") || { cat "$work/err"; fail "generate"; }
case $text in "Once upon"*) ;; *) fail "unexpected text: $text" ;; esac
grep -q "$source" "$work/err" && fail "it used the source tree: $(cat "$work/err")"

for page in "$work"/usr/share/man/man1/*.1; do
    [ "$(grep -c '^\.SH ' "$page")" -ge 3 ] || fail "$page is no manual page"
    if command -v groff >/dev/null; then
        said=$(groff -ww -man -Tutf8 -z "$page" 2>&1)
        [ -z "$said" ] || fail "$page: $said"
    fi
done
for command in $("$work/usr/bin/millrace" help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
    case $command in version | help) continue ;; esac
    [ -s "$work/usr/share/man/man1/millrace-$command.1" ] || fail "millrace $command has no manual page"
done

# Every option of the help page is in the manual page.
for option in $(MILLRACE_HELP=words "$work/usr/bin/millrace" generate --help | tr -d =); do
    grep -qF -- "$(printf '%s' "$option" | sed 's/-/\\-/g')" "$work/usr/share/man/man1/millrace-generate.1" ||
        fail "millrace-generate.1 does not know $option"
done

completed=$(PATH="$work/usr/bin:$PATH" bash -c '
    . "$1"
    complete_line() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _millrace; echo "${COMPREPLY[*]}"; }
    complete_line millrace gen
    complete_line millrace generate --len
    complete_line millrace-worker --batch-t
' - "$work/usr/share/bash-completion/completions/millrace")
[ "$completed" = "generate
--length
--batch-tokens" ] || fail "completion said: $completed"

# Units name programs and settings that are there.
for unit in "$work"/usr/lib/systemd/system/*.service; do
    grep -o '/usr/bin/millrace[a-z-]*' "$unit" | while read -r program; do
        [ -x "$work$program" ] || fail "$unit starts $program, which is not installed"
    done
done
grep -q '^KillSignal=SIGUSR1$' "$work/usr/lib/systemd/system/millrace-worker@.service" || fail "systemctl stop would not drain a replica"
for name in coordinator worker; do
    sed -n 's/^\(MILLRACE_[A-Z_]*\)=.*/\1/p' "$work/usr/share/millrace/systemd/$name.env" | while read -r variable; do
        "$work/usr/bin/millrace-$name" --help | grep -q "environment $variable\]" || [ "$variable" = MILLRACE_RANKS ] ||
            fail "$name.env sets $variable, which millrace-$name does not know"
    done
done
if command -v systemd-analyze >/dev/null; then
    mkdir -p "$work/units"
    for unit in "$work"/usr/lib/systemd/system/*.service; do
        sed "s|/usr/bin/millrace|$work/usr/bin/millrace|" "$unit" >"$work/units/${unit##*/}"
    done
    cp "$work/units/millrace-worker@.service" "$work/units/millrace-worker@r0.service"
    said=$(systemd-analyze verify "$work/units/millrace-coordinator.service" "$work/units/millrace-worker@r0.service" 2>&1 |
        grep -i millrace | grep -v "Command 'man " || true) # the pages are not on this machine's manual path
    [ -z "$said" ] || fail "systemd-analyze: $said"
fi

# The module file, where there is something that reads it: Environment Modules or Lmod.
mkdir -p "$work/modules/millrace"
sed "s|^set prefix .*|set prefix $work/usr|" "$work/usr/share/millrace/slurm/modulefile" >"$work/modules/millrace/0.1.0"
for init in /usr/share/modules/init/bash /usr/share/lmod/lmod/init/bash; do
    [ -r $init ] || continue
    said=$(env -i HOME="$work" PATH=/usr/bin:/bin bash -c '
        . "$1" && module use "$2" && module load millrace/0.1.0 && command -v millrace millrace-slurm && echo "$MILLRACE_BIN" &&
        millrace version >/dev/null && module unload millrace && [ -z "${MILLRACE_BIN:-}" ] && ! command -v millrace' - $init "$work/modules" 2>&1) ||
        fail "module load: $said"
    [ "$said" = "$work/usr/bin/millrace
$work/usr/share/millrace/slurm/millrace-slurm
$work/usr/bin" ] || fail "module load said: $said"
    echo "install.sh: the module file, read by $init"
done
echo "install.sh: installed, found, documented and completed"
