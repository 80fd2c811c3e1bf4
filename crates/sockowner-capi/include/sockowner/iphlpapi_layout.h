/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The layout of every structure that crosses the boundary, and the number behind every name: one list, asserted at
 * compile time against whatever declarations are in sight. Part of <sockowner/iphlpapi.h>: include that. Our compile
 * tests include it behind Windows' declarations too.
 *
 *   S(struct, size, alignment)   F(struct, field, offset, size)   P(struct, offset, size): padding
 *   V(name, value)
 *
 * Fields and padding must add up to the structure, so the list is whole (but for what would hide in padding).
 */
#ifndef SOCKOWNER_IPHLPAPI_LAYOUT_H
#define SOCKOWNER_IPHLPAPI_LAYOUT_H

#include <stddef.h>

/* ---- the list -------------------------------------------------------------------------------------------------- */

#define SOCKOWNER_POINTER sizeof(void *)

#define SOCKOWNER_LAYOUT_TCPIP_OWNER_MODULE_BASIC_INFO(S, F, P, s) \
    S(s, 2 * SOCKOWNER_POINTER, SOCKOWNER_POINTER) \
    F(s, pModuleName, 0, SOCKOWNER_POINTER) F(s, pModulePath, SOCKOWNER_POINTER, SOCKOWNER_POINTER)

/* The part that three IPv4 rows share. */
#define SOCKOWNER_LAYOUT_TCP_SIDES(F, s) \
    F(s, dwState, 0, 4) F(s, dwLocalAddr, 4, 4) F(s, dwLocalPort, 8, 4) F(s, dwRemoteAddr, 12, 4) \
    F(s, dwRemotePort, 16, 4)
#define SOCKOWNER_LAYOUT_MIB_TCPROW(S, F, P, s) \
    S(s, 20, 4) SOCKOWNER_LAYOUT_TCP_SIDES(F, s)
#define SOCKOWNER_LAYOUT_MIB_TCPROW2(S, F, P, s) \
    S(s, 28, 4) SOCKOWNER_LAYOUT_TCP_SIDES(F, s) F(s, dwOwningPid, 20, 4) F(s, dwOffloadState, 24, 4)
#define SOCKOWNER_LAYOUT_MIB_TCPROW_OWNER_PID(S, F, P, s) \
    S(s, 24, 4) SOCKOWNER_LAYOUT_TCP_SIDES(F, s) F(s, dwOwningPid, 20, 4)
#define SOCKOWNER_LAYOUT_MIB_TCPROW_OWNER_MODULE(S, F, P, s) \
    S(s, 160, 8) SOCKOWNER_LAYOUT_TCP_SIDES(F, s) F(s, dwOwningPid, 20, 4) F(s, liCreateTimestamp, 24, 8) \
    F(s, OwningModuleInfo, 32, 128)

#define SOCKOWNER_LAYOUT_MIB_TCP6ROW(S, F, P, s) \
    S(s, 52, 4) F(s, State, 0, 4) F(s, LocalAddr, 4, 16) F(s, dwLocalScopeId, 20, 4) F(s, dwLocalPort, 24, 4) \
    F(s, RemoteAddr, 28, 16) F(s, dwRemoteScopeId, 44, 4) F(s, dwRemotePort, 48, 4)
#define SOCKOWNER_LAYOUT_MIB_TCP6ROW2(S, F, P, s) \
    S(s, 60, 4) F(s, LocalAddr, 0, 16) F(s, dwLocalScopeId, 16, 4) F(s, dwLocalPort, 20, 4) \
    F(s, RemoteAddr, 24, 16) F(s, dwRemoteScopeId, 40, 4) F(s, dwRemotePort, 44, 4) F(s, State, 48, 4) \
    F(s, dwOwningPid, 52, 4) F(s, dwOffloadState, 56, 4)
#define SOCKOWNER_LAYOUT_TCP6_SIDES(F, s) \
    F(s, ucLocalAddr, 0, 16) F(s, dwLocalScopeId, 16, 4) F(s, dwLocalPort, 20, 4) F(s, ucRemoteAddr, 24, 16) \
    F(s, dwRemoteScopeId, 40, 4) F(s, dwRemotePort, 44, 4) F(s, dwState, 48, 4) F(s, dwOwningPid, 52, 4)
#define SOCKOWNER_LAYOUT_MIB_TCP6ROW_OWNER_PID(S, F, P, s) \
    S(s, 56, 4) SOCKOWNER_LAYOUT_TCP6_SIDES(F, s)
#define SOCKOWNER_LAYOUT_MIB_TCP6ROW_OWNER_MODULE(S, F, P, s) \
    S(s, 192, 8) SOCKOWNER_LAYOUT_TCP6_SIDES(F, s) F(s, liCreateTimestamp, 56, 8) F(s, OwningModuleInfo, 64, 128)

#define SOCKOWNER_LAYOUT_MIB_UDPROW(S, F, P, s) \
    S(s, 8, 4) F(s, dwLocalAddr, 0, 4) F(s, dwLocalPort, 4, 4)
#define SOCKOWNER_LAYOUT_MIB_UDPROW_OWNER_PID(S, F, P, s) \
    S(s, 12, 4) F(s, dwLocalAddr, 0, 4) F(s, dwLocalPort, 4, 4) F(s, dwOwningPid, 8, 4)
#define SOCKOWNER_LAYOUT_MIB_UDPROW_OWNER_MODULE(S, F, P, s) \
    S(s, 160, 8) F(s, dwLocalAddr, 0, 4) F(s, dwLocalPort, 4, 4) F(s, dwOwningPid, 8, 4) P(s, 12, 4) \
    F(s, liCreateTimestamp, 16, 8) F(s, dwFlags, 24, 4) P(s, 28, 4) F(s, OwningModuleInfo, 32, 128)

#define SOCKOWNER_LAYOUT_MIB_UDP6ROW(S, F, P, s) \
    S(s, 24, 4) F(s, dwLocalAddr, 0, 16) F(s, dwLocalScopeId, 16, 4) F(s, dwLocalPort, 20, 4)
#define SOCKOWNER_LAYOUT_MIB_UDP6ROW_OWNER_PID(S, F, P, s) \
    S(s, 28, 4) F(s, ucLocalAddr, 0, 16) F(s, dwLocalScopeId, 16, 4) F(s, dwLocalPort, 20, 4) F(s, dwOwningPid, 24, 4)
#define SOCKOWNER_LAYOUT_MIB_UDP6ROW_OWNER_MODULE(S, F, P, s) \
    S(s, 176, 8) F(s, ucLocalAddr, 0, 16) F(s, dwLocalScopeId, 16, 4) F(s, dwLocalPort, 20, 4) \
    F(s, dwOwningPid, 24, 4) P(s, 28, 4) F(s, liCreateTimestamp, 32, 8) F(s, dwFlags, 40, 4) P(s, 44, 4) \
    F(s, OwningModuleInfo, 48, 128)

/* A table with room for one row. */
#define SOCKOWNER_TABLE4(S, F, s, row) S(s, 4 + row, 4) F(s, dwNumEntries, 0, 4) F(s, table, 4, row)
#define SOCKOWNER_TABLE8(S, F, P, s, row) S(s, 8 + row, 8) F(s, dwNumEntries, 0, 4) P(s, 4, 4) F(s, table, 8, row)
#define SOCKOWNER_LAYOUT_MIB_TCPTABLE(S, F, P, s) SOCKOWNER_TABLE4(S, F, s, 20)
#define SOCKOWNER_LAYOUT_MIB_TCPTABLE2(S, F, P, s) SOCKOWNER_TABLE4(S, F, s, 28)
#define SOCKOWNER_LAYOUT_MIB_TCPTABLE_OWNER_PID(S, F, P, s) SOCKOWNER_TABLE4(S, F, s, 24)
#define SOCKOWNER_LAYOUT_MIB_TCPTABLE_OWNER_MODULE(S, F, P, s) SOCKOWNER_TABLE8(S, F, P, s, 160)
#define SOCKOWNER_LAYOUT_MIB_TCP6TABLE(S, F, P, s) SOCKOWNER_TABLE4(S, F, s, 52)
#define SOCKOWNER_LAYOUT_MIB_TCP6TABLE2(S, F, P, s) SOCKOWNER_TABLE4(S, F, s, 60)
#define SOCKOWNER_LAYOUT_MIB_TCP6TABLE_OWNER_PID(S, F, P, s) SOCKOWNER_TABLE4(S, F, s, 56)
#define SOCKOWNER_LAYOUT_MIB_TCP6TABLE_OWNER_MODULE(S, F, P, s) SOCKOWNER_TABLE8(S, F, P, s, 192)
#define SOCKOWNER_LAYOUT_MIB_UDPTABLE(S, F, P, s) SOCKOWNER_TABLE4(S, F, s, 8)
#define SOCKOWNER_LAYOUT_MIB_UDPTABLE_OWNER_PID(S, F, P, s) SOCKOWNER_TABLE4(S, F, s, 12)
#define SOCKOWNER_LAYOUT_MIB_UDPTABLE_OWNER_MODULE(S, F, P, s) SOCKOWNER_TABLE8(S, F, P, s, 160)
#define SOCKOWNER_LAYOUT_MIB_UDP6TABLE(S, F, P, s) SOCKOWNER_TABLE4(S, F, s, 24)
#define SOCKOWNER_LAYOUT_MIB_UDP6TABLE_OWNER_PID(S, F, P, s) SOCKOWNER_TABLE4(S, F, s, 28)
#define SOCKOWNER_LAYOUT_MIB_UDP6TABLE_OWNER_MODULE(S, F, P, s) SOCKOWNER_TABLE8(S, F, P, s, 176)

#define SOCKOWNER_LAYOUT_STRUCTS(X) \
    X(TCPIP_OWNER_MODULE_BASIC_INFO) \
    X(MIB_TCPROW) X(MIB_TCPROW2) X(MIB_TCPROW_OWNER_PID) X(MIB_TCPROW_OWNER_MODULE) \
    X(MIB_TCP6ROW) X(MIB_TCP6ROW2) X(MIB_TCP6ROW_OWNER_PID) X(MIB_TCP6ROW_OWNER_MODULE) \
    X(MIB_UDPROW) X(MIB_UDPROW_OWNER_PID) X(MIB_UDPROW_OWNER_MODULE) \
    X(MIB_UDP6ROW) X(MIB_UDP6ROW_OWNER_PID) X(MIB_UDP6ROW_OWNER_MODULE) \
    X(MIB_TCPTABLE) X(MIB_TCPTABLE2) X(MIB_TCPTABLE_OWNER_PID) X(MIB_TCPTABLE_OWNER_MODULE) \
    X(MIB_TCP6TABLE) X(MIB_TCP6TABLE2) X(MIB_TCP6TABLE_OWNER_PID) X(MIB_TCP6TABLE_OWNER_MODULE) \
    X(MIB_UDPTABLE) X(MIB_UDPTABLE_OWNER_PID) X(MIB_UDPTABLE_OWNER_MODULE) \
    X(MIB_UDP6TABLE) X(MIB_UDP6TABLE_OWNER_PID) X(MIB_UDP6TABLE_OWNER_MODULE)

/* Types without fields of interest, as S. */
#define SOCKOWNER_LAYOUT_SCALARS(S) \
    S(TCPIP_OWNER_MODULE_INFO_CLASS, 4, 4) S(TCP_TABLE_CLASS, 4, 4) S(UDP_TABLE_CLASS, 4, 4) S(MIB_TCP_STATE, 4, 4) \
    S(TCP_CONNECTION_OFFLOAD_STATE, 4, 4)

#define SOCKOWNER_LAYOUT_VALUES(V) \
    V(TCPIP_OWNER_MODULE_INFO_BASIC, 0) V(TCPIP_OWNING_MODULE_SIZE, 16) \
    V(TCP_TABLE_BASIC_LISTENER, 0) V(TCP_TABLE_BASIC_CONNECTIONS, 1) V(TCP_TABLE_BASIC_ALL, 2) \
    V(TCP_TABLE_OWNER_PID_LISTENER, 3) V(TCP_TABLE_OWNER_PID_CONNECTIONS, 4) V(TCP_TABLE_OWNER_PID_ALL, 5) \
    V(TCP_TABLE_OWNER_MODULE_LISTENER, 6) V(TCP_TABLE_OWNER_MODULE_CONNECTIONS, 7) V(TCP_TABLE_OWNER_MODULE_ALL, 8) \
    V(UDP_TABLE_BASIC, 0) V(UDP_TABLE_OWNER_PID, 1) V(UDP_TABLE_OWNER_MODULE, 2) \
    V(MIB_TCP_STATE_CLOSED, 1) V(MIB_TCP_STATE_LISTEN, 2) V(MIB_TCP_STATE_SYN_SENT, 3) V(MIB_TCP_STATE_SYN_RCVD, 4) \
    V(MIB_TCP_STATE_ESTAB, 5) V(MIB_TCP_STATE_FIN_WAIT1, 6) V(MIB_TCP_STATE_FIN_WAIT2, 7) \
    V(MIB_TCP_STATE_CLOSE_WAIT, 8) V(MIB_TCP_STATE_CLOSING, 9) V(MIB_TCP_STATE_LAST_ACK, 10) \
    V(MIB_TCP_STATE_TIME_WAIT, 11) V(MIB_TCP_STATE_DELETE_TCB, 12) \
    V(TcpConnectionOffloadStateInHost, 0) V(TcpConnectionOffloadStateOffloading, 1) \
    V(TcpConnectionOffloadStateOffloaded, 2) V(TcpConnectionOffloadStateUploading, 3) \
    V(TcpConnectionOffloadStateMax, 4)

/* What a program may have left out: the errors as V, the types as S. */
#define SOCKOWNER_LAYOUT_ERRORS(V) \
    V(NO_ERROR, 0) V(ERROR_SUCCESS, 0) V(ERROR_ACCESS_DENIED, 5) V(ERROR_NOT_ENOUGH_MEMORY, 8) \
    V(ERROR_GEN_FAILURE, 31) V(ERROR_NOT_SUPPORTED, 50) V(ERROR_INVALID_PARAMETER, 87) \
    V(ERROR_INSUFFICIENT_BUFFER, 122) V(ERROR_PARTIAL_COPY, 299) V(ERROR_NOT_FOUND, 1168) \
    V(ERROR_INTERNAL_ERROR, 1359)
#define SOCKOWNER_LAYOUT_TYPES(S) \
    S(UCHAR, 1, 1) S(USHORT, 2, 2) S(WCHAR, 2, 2) S(LONG, 4, 4) S(ULONG, 4, 4) S(DWORD, 4, 4) S(BOOL, 4, 4) \
    S(LARGE_INTEGER, 8, 8)

/* ---- the assertions -------------------------------------------------------------------------------------------- */

#if defined(__cplusplus)
#define SOCKOWNER_ASSERT(name, condition) static_assert(condition, #name);
#define SOCKOWNER_ALIGNOF(s) alignof(s)
#define SOCKOWNER_SIZEOF_FIELD(s, f) sizeof(s::f)
#else
#define SOCKOWNER_SIZEOF_FIELD(s, f) sizeof(((s *)0)->f)
#if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define SOCKOWNER_ASSERT(name, condition) _Static_assert(condition, #name);
#define SOCKOWNER_ALIGNOF(s) _Alignof(s)
#else
#define SOCKOWNER_ASSERT(name, condition) typedef char sockowner_assert_##name[(condition) ? 1 : -1];
#define SOCKOWNER_ALIGNOF(s) __alignof__(s)
#endif
#endif

#define SOCKOWNER_ASSERT_S(s, size, align) \
    SOCKOWNER_ASSERT(size_of_##s, sizeof(s) == (size)) SOCKOWNER_ASSERT(align_of_##s, SOCKOWNER_ALIGNOF(s) == (align))
#define SOCKOWNER_ASSERT_F(s, f, offset, size) \
    SOCKOWNER_ASSERT(offset_of_##s##_##f, offsetof(s, f) == (offset)) \
    SOCKOWNER_ASSERT(size_of_##s##_##f, SOCKOWNER_SIZEOF_FIELD(s, f) == (size))
#define SOCKOWNER_ASSERT_V(name, value) SOCKOWNER_ASSERT(value_of_##name, (name) == (value))

#define SOCKOWNER_ADD_F(s, f, offset, size) +(size)
#define SOCKOWNER_ADD_P(s, offset, size) +(size)
#define SOCKOWNER_NONE3(a, b, c)

#define SOCKOWNER_ASSERT_STRUCT(s) \
    SOCKOWNER_LAYOUT_##s(SOCKOWNER_ASSERT_S, SOCKOWNER_ASSERT_F, SOCKOWNER_NONE3, s) \
    SOCKOWNER_ASSERT(fields_of_##s, \
        sizeof(s) == 0 SOCKOWNER_LAYOUT_##s(SOCKOWNER_NONE3, SOCKOWNER_ADD_F, SOCKOWNER_ADD_P, s))

SOCKOWNER_LAYOUT_STRUCTS(SOCKOWNER_ASSERT_STRUCT)
SOCKOWNER_LAYOUT_SCALARS(SOCKOWNER_ASSERT_S)
SOCKOWNER_LAYOUT_VALUES(SOCKOWNER_ASSERT_V)

#endif
