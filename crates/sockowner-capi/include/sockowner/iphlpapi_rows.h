/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Enumerations, rows and tables. Part of <sockowner/iphlpapi.h>: include that.
 *
 * Addresses are in network byte order. Ports too, in the low 16 bits: ntohs((uint16_t)row->dwLocalPort); the upper 16
 * are zero in what we write and ignored in what we read. Rows of listeners have a remote side of zeros. dwOwningPid
 * is 0 where no process is known, or none lives: who bound the socket or accepted the connection where that is recorded
 * ("sockowner record"), else who has it. Sizes and offsets are those of Windows, on 32-bit machines too; iphlpapi_layout.h
 * proves it.
 */
#ifndef SOCKOWNER_IPHLPAPI_ROWS_H
#define SOCKOWNER_IPHLPAPI_ROWS_H

#include "iphlpapi_types.h"

typedef enum _TCPIP_OWNER_MODULE_INFO_CLASS {
    TCPIP_OWNER_MODULE_INFO_BASIC
} TCPIP_OWNER_MODULE_INFO_CLASS, *PTCPIP_OWNER_MODULE_INFO_CLASS;

/* CONNECTIONS is everything that does not listen. */
typedef enum _TCP_TABLE_CLASS {
    TCP_TABLE_BASIC_LISTENER,
    TCP_TABLE_BASIC_CONNECTIONS,
    TCP_TABLE_BASIC_ALL,
    TCP_TABLE_OWNER_PID_LISTENER,
    TCP_TABLE_OWNER_PID_CONNECTIONS,
    TCP_TABLE_OWNER_PID_ALL,
    TCP_TABLE_OWNER_MODULE_LISTENER,
    TCP_TABLE_OWNER_MODULE_CONNECTIONS,
    TCP_TABLE_OWNER_MODULE_ALL
} TCP_TABLE_CLASS, *PTCP_TABLE_CLASS;

typedef enum _UDP_TABLE_CLASS {
    UDP_TABLE_BASIC,
    UDP_TABLE_OWNER_PID,
    UDP_TABLE_OWNER_MODULE
} UDP_TABLE_CLASS, *PUDP_TABLE_CLASS;

/* RESERVED: has an address and nothing more (Linux tells it from 6.8 on). Only in OWNER_MODULE tables. */
typedef enum {
    MIB_TCP_STATE_CLOSED = 1,
    MIB_TCP_STATE_LISTEN = 2,
    MIB_TCP_STATE_SYN_SENT = 3,
    MIB_TCP_STATE_SYN_RCVD = 4,
    MIB_TCP_STATE_ESTAB = 5,
    MIB_TCP_STATE_FIN_WAIT1 = 6,
    MIB_TCP_STATE_FIN_WAIT2 = 7,
    MIB_TCP_STATE_CLOSE_WAIT = 8,
    MIB_TCP_STATE_CLOSING = 9,
    MIB_TCP_STATE_LAST_ACK = 10,
    MIB_TCP_STATE_TIME_WAIT = 11,
    MIB_TCP_STATE_DELETE_TCB = 12,
    MIB_TCP_STATE_RESERVED = 100
} MIB_TCP_STATE;

typedef enum {
    TcpConnectionOffloadStateInHost,
    TcpConnectionOffloadStateOffloading,
    TcpConnectionOffloadStateOffloaded,
    TcpConnectionOffloadStateUploading,
    TcpConnectionOffloadStateMax
} TCP_CONNECTION_OFFLOAD_STATE, *PTCP_CONNECTION_OFFLOAD_STATE;

/* Numbers of 64 bits in OwningModuleInfo. */
#define TCPIP_OWNING_MODULE_SIZE 16

/* What GetOwnerModuleFrom... writes first into the buffer; both point further into it. UTF-16, NUL-terminated. */
typedef struct _TCPIP_OWNER_MODULE_BASIC_INFO {
    sockowner_wchar *pModuleName;
    sockowner_wchar *pModulePath;
} TCPIP_OWNER_MODULE_BASIC_INFO, *PTCPIP_OWNER_MODULE_BASIC_INFO;

/* ---- TCP ------------------------------------------------------------------------------------------------------- */

typedef struct _MIB_TCPROW_LH {
    SOCKOWNER_EXTENSION union {
        uint32_t dwState;
        MIB_TCP_STATE State;
    };
    uint32_t dwLocalAddr;
    uint32_t dwLocalPort;
    uint32_t dwRemoteAddr;
    uint32_t dwRemotePort;
} MIB_TCPROW_LH, *PMIB_TCPROW_LH, MIB_TCPROW, *PMIB_TCPROW;

typedef struct _MIB_TCPTABLE {
    uint32_t dwNumEntries;
    MIB_TCPROW table[1];
} MIB_TCPTABLE, *PMIB_TCPTABLE;

typedef struct _MIB_TCPROW2 {
    uint32_t dwState;
    uint32_t dwLocalAddr;
    uint32_t dwLocalPort;
    uint32_t dwRemoteAddr;
    uint32_t dwRemotePort;
    uint32_t dwOwningPid;
    TCP_CONNECTION_OFFLOAD_STATE dwOffloadState; /* always InHost */
} MIB_TCPROW2, *PMIB_TCPROW2;

typedef struct _MIB_TCPTABLE2 {
    uint32_t dwNumEntries;
    MIB_TCPROW2 table[1];
} MIB_TCPTABLE2, *PMIB_TCPTABLE2;

typedef struct _MIB_TCPROW_OWNER_PID {
    uint32_t dwState;
    uint32_t dwLocalAddr;
    uint32_t dwLocalPort;
    uint32_t dwRemoteAddr;
    uint32_t dwRemotePort;
    uint32_t dwOwningPid;
} MIB_TCPROW_OWNER_PID, *PMIB_TCPROW_OWNER_PID;

typedef struct _MIB_TCPTABLE_OWNER_PID {
    uint32_t dwNumEntries;
    MIB_TCPROW_OWNER_PID table[1];
} MIB_TCPTABLE_OWNER_PID, *PMIB_TCPTABLE_OWNER_PID;

typedef struct _MIB_TCPROW_OWNER_MODULE {
    uint32_t dwState;
    uint32_t dwLocalAddr;
    uint32_t dwLocalPort;
    uint32_t dwRemoteAddr;
    uint32_t dwRemotePort;
    uint32_t dwOwningPid;
    sockowner_large_integer liCreateTimestamp; /* of the bind, 100 ns since 1601-01-01 UTC; 0: not known */
    unsigned long long OwningModuleInfo[TCPIP_OWNING_MODULE_SIZE] SOCKOWNER_ALIGN8; /* ours: hand it back unchanged */
} MIB_TCPROW_OWNER_MODULE, *PMIB_TCPROW_OWNER_MODULE;

typedef struct _MIB_TCPTABLE_OWNER_MODULE {
    uint32_t dwNumEntries;
    MIB_TCPROW_OWNER_MODULE table[1];
} MIB_TCPTABLE_OWNER_MODULE, *PMIB_TCPTABLE_OWNER_MODULE;

/* ---- TCP over IPv6; IPv4 traffic of an IPv6 socket is here, as ::ffff:a.b.c.d ---------------------------------- */

/* The one row that begins with its state. */
typedef struct _MIB_TCP6ROW {
    MIB_TCP_STATE State;
    struct in6_addr LocalAddr;
    uint32_t dwLocalScopeId;
    uint32_t dwLocalPort;
    struct in6_addr RemoteAddr;
    uint32_t dwRemoteScopeId;
    uint32_t dwRemotePort;
} MIB_TCP6ROW, *PMIB_TCP6ROW;

typedef struct _MIB_TCP6TABLE {
    uint32_t dwNumEntries;
    MIB_TCP6ROW table[1];
} MIB_TCP6TABLE, *PMIB_TCP6TABLE;

typedef struct _MIB_TCP6ROW2 {
    struct in6_addr LocalAddr;
    uint32_t dwLocalScopeId;
    uint32_t dwLocalPort;
    struct in6_addr RemoteAddr;
    uint32_t dwRemoteScopeId;
    uint32_t dwRemotePort;
    MIB_TCP_STATE State;
    uint32_t dwOwningPid;
    TCP_CONNECTION_OFFLOAD_STATE dwOffloadState; /* always InHost */
} MIB_TCP6ROW2, *PMIB_TCP6ROW2;

typedef struct _MIB_TCP6TABLE2 {
    uint32_t dwNumEntries;
    MIB_TCP6ROW2 table[1];
} MIB_TCP6TABLE2, *PMIB_TCP6TABLE2;

typedef struct _MIB_TCP6ROW_OWNER_PID {
    unsigned char ucLocalAddr[16];
    uint32_t dwLocalScopeId;
    uint32_t dwLocalPort;
    unsigned char ucRemoteAddr[16];
    uint32_t dwRemoteScopeId;
    uint32_t dwRemotePort;
    uint32_t dwState;
    uint32_t dwOwningPid;
} MIB_TCP6ROW_OWNER_PID, *PMIB_TCP6ROW_OWNER_PID;

typedef struct _MIB_TCP6TABLE_OWNER_PID {
    uint32_t dwNumEntries;
    MIB_TCP6ROW_OWNER_PID table[1];
} MIB_TCP6TABLE_OWNER_PID, *PMIB_TCP6TABLE_OWNER_PID;

typedef struct _MIB_TCP6ROW_OWNER_MODULE {
    unsigned char ucLocalAddr[16];
    uint32_t dwLocalScopeId;
    uint32_t dwLocalPort;
    unsigned char ucRemoteAddr[16];
    uint32_t dwRemoteScopeId;
    uint32_t dwRemotePort;
    uint32_t dwState;
    uint32_t dwOwningPid;
    sockowner_large_integer liCreateTimestamp;
    unsigned long long OwningModuleInfo[TCPIP_OWNING_MODULE_SIZE] SOCKOWNER_ALIGN8;
} MIB_TCP6ROW_OWNER_MODULE, *PMIB_TCP6ROW_OWNER_MODULE;

typedef struct _MIB_TCP6TABLE_OWNER_MODULE {
    uint32_t dwNumEntries;
    MIB_TCP6ROW_OWNER_MODULE table[1];
} MIB_TCP6TABLE_OWNER_MODULE, *PMIB_TCP6TABLE_OWNER_MODULE;

/* ---- UDP ------------------------------------------------------------------------------------------------------- */

typedef struct _MIB_UDPROW {
    uint32_t dwLocalAddr;
    uint32_t dwLocalPort;
} MIB_UDPROW, *PMIB_UDPROW;

typedef struct _MIB_UDPTABLE {
    uint32_t dwNumEntries;
    MIB_UDPROW table[1];
} MIB_UDPTABLE, *PMIB_UDPTABLE;

typedef struct _MIB_UDPROW_OWNER_PID {
    uint32_t dwLocalAddr;
    uint32_t dwLocalPort;
    uint32_t dwOwningPid;
} MIB_UDPROW_OWNER_PID, *PMIB_UDPROW_OWNER_PID;

typedef struct _MIB_UDPTABLE_OWNER_PID {
    uint32_t dwNumEntries;
    MIB_UDPROW_OWNER_PID table[1];
} MIB_UDPTABLE_OWNER_PID, *PMIB_UDPTABLE_OWNER_PID;

typedef struct _MIB_UDPROW_OWNER_MODULE {
    uint32_t dwLocalAddr;
    uint32_t dwLocalPort;
    uint32_t dwOwningPid;
    sockowner_large_integer liCreateTimestamp;
    SOCKOWNER_EXTENSION union {
        int SpecificPortBind : 1; /* a signed bit: compare it with 0 */
        int dwFlags;
    };
    unsigned long long OwningModuleInfo[TCPIP_OWNING_MODULE_SIZE] SOCKOWNER_ALIGN8;
} MIB_UDPROW_OWNER_MODULE, *PMIB_UDPROW_OWNER_MODULE;

typedef struct _MIB_UDPTABLE_OWNER_MODULE {
    uint32_t dwNumEntries;
    MIB_UDPROW_OWNER_MODULE table[1];
} MIB_UDPTABLE_OWNER_MODULE, *PMIB_UDPTABLE_OWNER_MODULE;

/* ---- UDP over IPv6 --------------------------------------------------------------------------------------------- */

typedef struct _MIB_UDP6ROW {
    struct in6_addr dwLocalAddr;
    uint32_t dwLocalScopeId;
    uint32_t dwLocalPort;
} MIB_UDP6ROW, *PMIB_UDP6ROW;

typedef struct _MIB_UDP6TABLE {
    uint32_t dwNumEntries;
    MIB_UDP6ROW table[1];
} MIB_UDP6TABLE, *PMIB_UDP6TABLE;

typedef struct _MIB_UDP6ROW_OWNER_PID {
    unsigned char ucLocalAddr[16];
    uint32_t dwLocalScopeId;
    uint32_t dwLocalPort;
    uint32_t dwOwningPid;
} MIB_UDP6ROW_OWNER_PID, *PMIB_UDP6ROW_OWNER_PID;

typedef struct _MIB_UDP6TABLE_OWNER_PID {
    uint32_t dwNumEntries;
    MIB_UDP6ROW_OWNER_PID table[1];
} MIB_UDP6TABLE_OWNER_PID, *PMIB_UDP6TABLE_OWNER_PID;

typedef struct _MIB_UDP6ROW_OWNER_MODULE {
    unsigned char ucLocalAddr[16];
    uint32_t dwLocalScopeId;
    uint32_t dwLocalPort;
    uint32_t dwOwningPid;
    sockowner_large_integer liCreateTimestamp;
    SOCKOWNER_EXTENSION union {
        int SpecificPortBind : 1;
        int dwFlags;
    };
    unsigned long long OwningModuleInfo[TCPIP_OWNING_MODULE_SIZE] SOCKOWNER_ALIGN8;
} MIB_UDP6ROW_OWNER_MODULE, *PMIB_UDP6ROW_OWNER_MODULE;

typedef struct _MIB_UDP6TABLE_OWNER_MODULE {
    uint32_t dwNumEntries;
    MIB_UDP6ROW_OWNER_MODULE table[1];
} MIB_UDP6TABLE_OWNER_MODULE, *PMIB_UDP6TABLE_OWNER_MODULE;

#endif
