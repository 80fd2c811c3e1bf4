"""Prints this machine's TCP listeners over IPv4 with the module that owns each: listeners.py LIBRARY.

The library is the C ABI, called by ctypes.

Fails unless a listener of its own is among them, with the path that /proc/self/exe has.
"""

import ctypes
import os
import socket
import sys

AF_INET = 2
TCP_TABLE_OWNER_MODULE_LISTENER = 6
NO_ERROR, ERROR_INSUFFICIENT_BUFFER, ERROR_PARTIAL_COPY, ERROR_NOT_FOUND = 0, 122, 299, 1168
DWORD = ctypes.c_uint32


class Row(ctypes.Structure):
    """MIB_TCPROW_OWNER_MODULE."""

    _fields_ = [
        ("state", DWORD),
        ("local_addr", DWORD),
        ("local_port", DWORD),
        ("remote_addr", DWORD),
        ("remote_port", DWORD),
        ("pid", DWORD),
        ("created", ctypes.c_int64),
        ("info", ctypes.c_uint64 * 16),
    ]


class BasicInfo(ctypes.Structure):
    """TCPIP_OWNER_MODULE_BASIC_INFO."""

    _fields_ = [("name", ctypes.c_void_p), ("path", ctypes.c_void_p)]


def declared(library):
    """The two functions, with their types."""
    table, module = library.GetExtendedTcpTable, library.GetOwnerModuleFromTcpEntry
    size = ctypes.POINTER(DWORD)
    table.argtypes = [ctypes.c_void_p, size, ctypes.c_int, DWORD, ctypes.c_int, DWORD]
    module.argtypes = [ctypes.POINTER(Row), ctypes.c_int, ctypes.c_void_p, size]
    table.restype = module.restype = DWORD
    return table, module


def filled(call):
    """The code of `call(buffer, size)`, and the buffer once it is large enough."""
    size, buffer = DWORD(0), None
    while (code := call(buffer, ctypes.byref(size))) == ERROR_INSUFFICIENT_BUFFER:
        buffer = ctypes.create_string_buffer(size.value)
    return code, buffer, size.value


def utf16(buffer, address):
    """The NUL-terminated string at `address`, which is inside of `buffer`."""
    units = buffer.raw[address - ctypes.addressof(buffer) :]
    end = next(at for at in range(0, len(units), 2) if units[at : at + 2] == b"\0\0")
    return units[:end].decode("utf-16-le" if sys.byteorder == "little" else "utf-16-be")


def rows(table):
    """The listeners."""

    def call(buffer, size):
        return table(buffer, size, 1, AF_INET, TCP_TABLE_OWNER_MODULE_LISTENER, 0)

    code, buffer, size = filled(call)
    assert code == NO_ERROR, code
    count = DWORD.from_buffer(buffer).value
    assert size == 8 + count * ctypes.sizeof(Row), (size, count)
    return list((Row * count).from_buffer(buffer, 8))


def named(module, row):
    """Name and path of the row's owner, or None where there is none any more."""

    def call(buffer, size):
        return module(ctypes.byref(row), 0, buffer, size)

    code, buffer, _ = filled(call)
    if code in (ERROR_NOT_FOUND, ERROR_PARTIAL_COPY):
        return None
    assert code == NO_ERROR, code
    info = BasicInfo.from_buffer(buffer)
    return utf16(buffer, info.name), utf16(buffer, info.path)


def main():
    assert ctypes.sizeof(Row) == 160
    table, module = declared(ctypes.CDLL(sys.argv[1]))
    own = socket.create_server(("127.0.0.1", 0))
    found = []
    for row in rows(table):
        address = socket.inet_ntoa(row.local_addr.to_bytes(4, sys.byteorder))
        port = socket.ntohs(row.local_port)
        owner = named(module, row)
        print(f"{address}:{port} pid {row.pid} {owner}")
        if (address, port) == own.getsockname():
            found.append((row.pid, owner))
    path = os.readlink("/proc/self/exe")
    assert found == [(os.getpid(), (os.path.basename(path), path))], found


main()
