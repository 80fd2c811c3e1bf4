/* The list of iphlpapi_layout.h, and what else must hold, asserted against the declarations that were included before:
 * ours or Windows'. */
#ifndef LAYOUT_H
#define LAYOUT_H

#include <sockowner/iphlpapi_layout.h>

SOCKOWNER_LAYOUT_ERRORS(SOCKOWNER_ASSERT_V)
SOCKOWNER_LAYOUT_TYPES(SOCKOWNER_ASSERT_S)
SOCKOWNER_ASSERT(signs, (DWORD)-1 > 0 && (ULONG)-1 > 0 && (USHORT)-1 > 0 && (LONG)-1 < 0 && (BOOL)-1 < 0)
SOCKOWNER_ASSERT(wide, sizeof(ULONGLONG) == 8 && (ULONGLONG)-1 > 0 && (WCHAR)-1 > 0)
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
SOCKOWNER_ASSERT(halves, offsetof(LARGE_INTEGER, u.HighPart) == 0 && offsetof(LARGE_INTEGER, u.LowPart) == 4)
#else
SOCKOWNER_ASSERT(halves, offsetof(LARGE_INTEGER, u.LowPart) == 0 && offsetof(LARGE_INTEGER, u.HighPart) == 4)
#endif
SOCKOWNER_ASSERT(family, AF_INET == 2)

#ifdef __MINGW32__
#define PID_CALL /* mingw-w64 declares this one without WINAPI; only 32-bit Windows tells them apart */
#else
#define PID_CALL WINAPI
#endif

/* Each function has the type that Windows gives it. */
typedef struct functions {
    DWORD(WINAPI *tcp)(PMIB_TCPROW_OWNER_MODULE, TCPIP_OWNER_MODULE_INFO_CLASS, PVOID, PDWORD);
    DWORD(WINAPI *tcp6)(PMIB_TCP6ROW_OWNER_MODULE, TCPIP_OWNER_MODULE_INFO_CLASS, PVOID, PDWORD);
    DWORD(WINAPI *udp)(PMIB_UDPROW_OWNER_MODULE, TCPIP_OWNER_MODULE_INFO_CLASS, PVOID, PDWORD);
    DWORD(WINAPI *udp6)(PMIB_UDP6ROW_OWNER_MODULE, TCPIP_OWNER_MODULE_INFO_CLASS, PVOID, PDWORD);
    DWORD(PID_CALL *pid)(ULONG, ULONGLONG *, TCPIP_OWNER_MODULE_INFO_CLASS, PVOID, PDWORD);
    DWORD(WINAPI *tcp_table)(PVOID, PDWORD, BOOL, ULONG, TCP_TABLE_CLASS, ULONG);
    DWORD(WINAPI *udp_table)(PVOID, PDWORD, BOOL, ULONG, UDP_TABLE_CLASS, ULONG);
    ULONG(WINAPI *tcp_plain)(PMIB_TCPTABLE, PULONG, BOOL);
    ULONG(WINAPI *tcp6_plain)(PMIB_TCP6TABLE, PULONG, BOOL);
    ULONG(WINAPI *tcp2)(PMIB_TCPTABLE2, PULONG, BOOL);
    ULONG(WINAPI *tcp62)(PMIB_TCP6TABLE2, PULONG, BOOL);
    ULONG(WINAPI *udp_plain)(PMIB_UDPTABLE, PULONG, BOOL);
    ULONG(WINAPI *udp6_plain)(PMIB_UDP6TABLE, PULONG, BOOL);
} functions;

functions all(void);
functions all(void) {
    functions f = {
        GetOwnerModuleFromTcpEntry, GetOwnerModuleFromTcp6Entry, GetOwnerModuleFromUdpEntry,
        GetOwnerModuleFromUdp6Entry, GetOwnerModuleFromPidAndInfo, GetExtendedTcpTable, GetExtendedUdpTable,
        GetTcpTable, GetTcp6Table, GetTcpTable2, GetTcp6Table2, GetUdpTable, GetUdp6Table};
    return f;
}

/* Members are reached by the names that programs use. */
int members(MIB_TCPROW *tcp, MIB_UDPROW_OWNER_MODULE *udp, MIB_UDP6ROW_OWNER_MODULE *udp6, IN6_ADDR *address);
int members(MIB_TCPROW *tcp, MIB_UDPROW_OWNER_MODULE *udp, MIB_UDP6ROW_OWNER_MODULE *udp6, IN6_ADDR *address) {
    LARGE_INTEGER bound = udp->liCreateTimestamp;
    if (tcp->dwState == MIB_TCP_STATE_LISTEN)
        udp->dwFlags = udp6->dwFlags;
    return (udp->SpecificPortBind != 0) + (udp6->SpecificPortBind != 0) + (bound.QuadPart == 0) +
           (bound.LowPart == bound.u.LowPart) + address->s6_addr[15];
}

#endif
