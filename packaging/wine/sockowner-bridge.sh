#!/bin/sh
# Installs the bridge into a Wine prefix, or removes it: then Windows programs there are told who owns native sockets.
#   rustup target add x86_64-pc-windows-gnu
#   cargo build --release -p sockowner-wine-bridge
#   cargo build --release -p sockowner-wine-bridge --target x86_64-pc-windows-gnu
#   packaging/wine/sockowner-bridge.sh install PREFIX [WINE_DIRECTORY]
#   packaging/wine/sockowner-bridge.sh remove PREFIX [WINE_DIRECTORY]
# Wine finds the half in Linux in WINEDLLPATH, or in its own directory (.../lib/wine, which has x86_64-unix and
# x86_64-windows; writing there mostly takes root): give that, and nothing need be set.
# SO and DLL are the two halves, if not in target/release and target/x86_64-pc-windows-gnu/release.
set -eu

name=sockowner_bridge
usage() {
    echo "usage: $0 install|remove PREFIX [WINE_DIRECTORY]" >&2
    exit 2
}
fail() {
    echo "$0: $*" >&2
    exit 1
}
[ $# -eq 2 ] || [ $# -eq 3 ] || usage
verb=$1
prefix=$2
system=$prefix/drive_c/windows/system32
[ -d "$system" ] || fail "$prefix is no Wine prefix: it has no drive_c/windows/system32"
prefix=$(cd "$prefix" && pwd)
if [ $# -eq 3 ]; then
    unix=$3/x86_64-unix
    windows=$3/x86_64-windows
    [ -d "$unix" ] && [ -d "$windows" ] || fail "$3 has no x86_64-unix and x86_64-windows"
else
    unix=$prefix/sockowner-bridge
    windows=$unix
fi

case $verb in
install)
    root=$(cd "$(dirname "$0")/../.." && pwd)
    target=${CARGO_TARGET_DIR:-$root/target}
    so=${SO:-$target/release/lib$name.so}
    dll=${DLL:-$target/x86_64-pc-windows-gnu/release/$name.dll}
    [ -f "$so" ] && [ -f "$dll" ] || fail "build both halves first: $so, $dll"
    # Where the PE header begins: behind the mark.
    header=$(od -An -tu4 -j60 -N4 "$dll" | tr -d ' ')
    [ "$header" -ge 96 ] || fail "$dll has no room for the mark that Wine looks for"
    mkdir -p "$unix" "$windows"
    install -m 0644 "$so" "$unix/$name.so"
    install -m 0644 "$dll" "$windows/$name.dll"
    printf 'Wine builtin DLL\0' | dd of="$windows/$name.dll" bs=1 seek=64 conv=notrunc 2>/dev/null
    install -m 0644 "$windows/$name.dll" "$system/$name.dll"
    if [ $# -eq 3 ]; then
        echo "installed $name into $prefix and $3"
    else
        echo "installed $name into $prefix; run programs there with WINEDLLPATH=$unix"
    fi
    ;;
remove)
    rest=
    if [ $# -eq 2 ] && [ ! -e "$unix/$name.so" ]; then
        rest="; $unix has no part of it: one that was installed with a WINE_DIRECTORY is still there, name it to remove"
    fi
    rm -f "$system/$name.dll" "$windows/$name.dll" "$unix/$name.so"
    [ $# -eq 3 ] || rmdir "$unix" 2>/dev/null || [ ! -e "$unix" ] || fail "$unix has files of others"
    echo "removed $name from $prefix${3:+ and $3}$rest"
    ;;
*) usage ;;
esac
