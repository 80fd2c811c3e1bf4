#!/bin/sh
# Has unmodified 64-bit Windows programs find GetOwnerModuleFromTcpEntry and its family in a Wine prefix, and removes it again.
#   cargo build --release -p sockowner-capi --target x86_64-pc-windows-gnu
#   packaging/wine/iphlpapi-proxy.sh install|remove PREFIX
# BUILT is where sockowner.dll is, if not in target/x86_64-pc-windows-gnu/release. Needed: wine, gcc-mingw-w64-x86-64.
#
# What is put into PREFIX/drive_c/windows/system32:
#   iphlpapi_orig.dll       Wine's own iphlpapi.dll, renamed
#   iphlpapi_sockowner.dll  sockowner.dll
#   iphlpapi.dll            made here, of names alone: those that sockowner.dll exports lead there, all others of Wine's
#                           to Wine's own
# and into the registry an override, so that Wine takes that file. 32-bit programs keep Wine's own.
#
# For Wine alone. On Windows the functions are there, a library of the system cannot be replaced, and one beside a program
# that has the name of a system's is what malware does: there a program is linked with sockowner.dll, by its name.
set -eu
umask 022
fail() {
    echo "iphlpapi-proxy: $*" >&2
    exit 1
}
[ $# -eq 2 ] || fail "usage: $0 install|remove PREFIX"
prefix=$2
system=$prefix/drive_c/windows/system32
[ -f "$system/iphlpapi.dll" ] || [ -f "$system/iphlpapi_orig.dll" ] ||
    fail "$prefix is no 64-bit Wine prefix: there is no $system/iphlpapi.dll"
WINEPREFIX=$(cd "$prefix" && pwd)
export WINEPREFIX
key='HKCU\Software\Wine\DllOverrides'
ours=native,builtin
mark='Wine builtin DLL'

has_mark() {
    [ "$(dd if="$1" bs=1 skip=64 count=16 2>/dev/null)" = "$mark" ]
}

# A library is for x86-64: the machine in the header of its format, to which four bytes point.
is_for_64_bits() {
    at=$(od -An -tu4 -j60 -N4 "$1" | tr -d ' ')
    [ "$(od -An -tx1 -j"$((${at:-0} + 4))" -N2 "$1" | tr -d ' ')" = 6486 ]
}

# The value of the override, nothing where there is none.
override() {
    wine reg query "$key" /v iphlpapi 2>/dev/null | tr -d '\r' | sed -n 's/^ *iphlpapi *REG_SZ *//p'
}

# The names that a library exports.
exports() {
    x86_64-w64-mingw32-objdump -p "$1" |
        sed -n '/^\[Ordinal\/Name Pointer\] Table/,/^$/s/^[[:space:]]*\[.*\] *\(+base\[ *[0-9]*\] *[0-9a-f]* *\)\{0,1\}\([A-Za-z_][A-Za-z0-9_]*\)$/\2/p'
}

install_it() {
    built=${BUILT:-${CARGO_TARGET_DIR:-$(dirname "$0")/../../target}/x86_64-pc-windows-gnu/release}
    [ -f "$built/sockowner.dll" ] || fail "there is no $built/sockowner.dll: build it, or set BUILT"
    [ ! -e "$system/iphlpapi_orig.dll" ] || fail "it is installed in $prefix, or was half; remove takes either back"
    is_for_64_bits "$system/iphlpapi.dll" || fail "$prefix is a prefix of 32 bits: the proxy serves 64-bit programs alone"
    has_mark "$system/iphlpapi.dll" || fail "$system/iphlpapi.dll is not Wine's own"
    value=$(override)
    [ -z "$value" ] || fail "$key has a value for iphlpapi: $value$(left_over "$value")"
    dir=$(mktemp -d)
    trap 'rm -rf "$dir"' EXIT
    exports "$built/sockowner.dll" | grep '^Get' | sort >"$dir/ours"
    exports "$system/iphlpapi.dll" | sort >"$dir/theirs"
    [ -s "$dir/ours" ] && [ -s "$dir/theirs" ] || fail "objdump names no exports"
    {
        printf 'LIBRARY iphlpapi.dll\nEXPORTS\n'
        sed 's/.*/& = iphlpapi_sockowner.&/' "$dir/ours"
        comm -13 "$dir/ours" "$dir/theirs" | sed 's/.*/& = iphlpapi_orig.&/'
    } >"$dir/proxy.def"
    : >"$dir/empty.c"
    x86_64-w64-mingw32-gcc -shared -nostdlib -s -Wl,--entry=0 -o "$dir/iphlpapi.dll" "$dir/empty.c" "$dir/proxy.def"
    cp "$built/sockowner.dll" "$system/iphlpapi_sockowner.dll"
    # A moment without iphlpapi.dll is better than one with half of it.
    mv "$system/iphlpapi.dll" "$system/iphlpapi_orig.dll"
    cp "$dir/iphlpapi.dll" "$system/iphlpapi.dll"
    wine reg add "$key" /v iphlpapi /t REG_SZ /d $ours /f >/dev/null
    echo "installed in $prefix: $(wc -l <"$dir/ours") functions of sockowner's, $(grep -c orig "$dir/proxy.def") of Wine's"
}

# What to do about an override that an installation left.
left_over() {
    [ "$1" != $ours ] || echo "; remove takes it back, if an installation left it"
}

# Takes back what is there: an installation that was interrupted, or whose registry came back or was lost, is there in part.
remove_it() {
    value=$(override)
    found=
    for file in iphlpapi_orig.dll iphlpapi_sockowner.dll; do
        [ ! -e "$system/$file" ] || found=$file
    done
    [ -n "$found" ] || [ "$value" = $ours ] || fail "it is not installed in $prefix"
    if [ "$value" = $ours ]; then
        wine reg delete "$key" /v iphlpapi /f >/dev/null 2>&1 || [ -z "$(override)" ] || fail "the override is still there"
    elif [ -n "$value" ]; then
        echo "iphlpapi-proxy: $key has another value for iphlpapi, which stays: $value" >&2
    fi
    # What Wine has put back meanwhile stays.
    if [ -e "$system/iphlpapi_orig.dll" ] && ! has_mark "$system/iphlpapi.dll"; then
        mv "$system/iphlpapi_orig.dll" "$system/iphlpapi.dll"
    fi
    rm -f "$system/iphlpapi_sockowner.dll" "$system/iphlpapi_orig.dll"
    echo "removed from $prefix"
}

case $1 in
install) install_it ;;
remove) remove_it ;;
*) fail "usage: $0 install|remove PREFIX" ;;
esac
