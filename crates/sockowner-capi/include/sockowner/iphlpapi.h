/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * sockowner: Windows' family of GetOwnerModuleFromTcpEntry, for Linux. C99 and later, C++11 and later.
 * Link with -lsockowner. On Windows this header is the system's own.
 *
 * All functions
 *   - may be called from any thread at any time, none from signal handlers; what they keep between calls is of the
 *     machine and the caller's namespaces (boot id, clock, where cgroups are), and found again in a child of fork();
 *   - write only into memory of the caller, never keep a pointer to it, and need no alignment of it. (A caller who
 *     gives a buffer at an odd address gets rows and strings at odd addresses.)
 *   - speak of the network namespace of the calling thread, and of pids in its pid namespace;
 *   - judge in this order: arguments (87), whether there is such an answer (50, 1168), size (122); then they write.
 *     Whatever fails but for the size leaves buffer and size as they were.
 *
 * Codes (DWORD), sizes in bytes:
 *   0     NO_ERROR                   *size says how much was used
 *   122   ERROR_INSUFFICIENT_BUFFER  the buffer is NULL or too small; *size says how much is needed
 *   87    ERROR_INVALID_PARAMETER    NULL for a row, its information or a size; a class or family that is none
 *   1168  ERROR_NOT_FOUND            no such process, or not the one the row means
 *   50    ERROR_NOT_SUPPORTED        no such table
 *   5     ERROR_ACCESS_DENIED        the system refuses its tables to this caller
 *   299   ERROR_PARTIAL_COPY         the process lives, but changed at each try to read it
 *   8     ERROR_NOT_ENOUGH_MEMORY    no memory for the answer. Where it runs out while the system is asked, the
 *                                    program is aborted, as in any Rust library
 *   31    ERROR_GEN_FAILURE          any other failure of the system; a path longer than it tells (4,095 bytes); a table
 *                                    that could not be read whole
 *   1359  ERROR_INTERNAL_ERROR       a fault of the library
 *
 * Families: AF_INET (2) and AF_INET6 as <sys/socket.h> has it (10). Windows' 23 is taken for AF_INET6 too.
 *
 * WCHAR has 16 bits always: wchar_t under -fshort-wchar, else char16_t. Linux' own wchar_t has 32, so L"" and
 * wcslen() are not for these strings; u"" is.
 *
 * Levels, evidence, all holders, reasons: see sockowner.h.
 */
#ifndef SOCKOWNER_IPHLPAPI_H
#define SOCKOWNER_IPHLPAPI_H

#ifdef _WIN32

#include <winsock2.h>
#include <ws2tcpip.h>
#include <iphlpapi.h>

#else

#include "iphlpapi_types.h"
#include "iphlpapi_rows.h"
#include "iphlpapi_layout.h"

SOCKOWNER_ASSERT_S(sockowner_wchar, 2, 2)
SOCKOWNER_ASSERT_S(sockowner_large_integer, 8, 8)
SOCKOWNER_ASSERT_F(MIB_TCPROW, State, 0, 4)

#ifdef __cplusplus
extern "C" {
#endif

/* The module that owns a row's socket: the name and the path of a process's executable; for a service of the system
 * the unit's name twice; for the kernel "System" twice; those of a library where it is recorded, and proved, that the
 * row's owner bound or accepted the socket from there. Two empty strings, with success, where the caller may not
 * inspect the process.
 *
 * pTcpEntry  a row of an OWNER_MODULE table. Read only. Of it dwOwningPid and OwningModuleInfo count; a row made by
 *            hand, with zeros for OwningModuleInfo, is answered by its pid alone, and never with a service
 *            or a library.
 * Class      TCPIP_OWNER_MODULE_INFO_BASIC.
 * pBuffer    gets a TCPIP_OWNER_MODULE_BASIC_INFO, and behind it both strings: UTF-16, NUL-terminated, invalid bytes
 *            replaced by U+FFFD. They live as long as the buffer.
 * pdwSize    in: bytes in pBuffer; out: bytes used or, with 122, needed. Ask with 0 first.
 *
 * 1168 where dwOwningPid is 0, its process is gone, or the number is another process's now. 299. */
uint32_t GetOwnerModuleFromTcpEntry(PMIB_TCPROW_OWNER_MODULE pTcpEntry, TCPIP_OWNER_MODULE_INFO_CLASS Class,
                                    void *pBuffer, uint32_t *pdwSize);
uint32_t GetOwnerModuleFromTcp6Entry(PMIB_TCP6ROW_OWNER_MODULE pTcpEntry, TCPIP_OWNER_MODULE_INFO_CLASS Class,
                                     void *pBuffer, uint32_t *pdwSize);
uint32_t GetOwnerModuleFromUdpEntry(PMIB_UDPROW_OWNER_MODULE pUdpEntry, TCPIP_OWNER_MODULE_INFO_CLASS Class,
                                    void *pBuffer, uint32_t *pdwSize);
uint32_t GetOwnerModuleFromUdp6Entry(PMIB_UDP6ROW_OWNER_MODULE pUdpEntry, TCPIP_OWNER_MODULE_INFO_CLASS Class,
                                     void *pBuffer, uint32_t *pdwSize);

/* The same from a row's dwOwningPid and its OwningModuleInfo: TCPIP_OWNING_MODULE_SIZE numbers, read only. */
uint32_t GetOwnerModuleFromPidAndInfo(uint32_t ulPid, unsigned long long *pInfo, TCPIP_OWNER_MODULE_INFO_CLASS Class,
                                      void *pBuffer, uint32_t *pdwSize);

/* A table of TCP or UDP endpoints.
 *
 * pTcpTable   gets the MIB_TCP(6)TABLE... that belongs to TableClass and ulAf.
 * pdwSize     as above. Tables grow between two calls: repeat while 122.
 * bOrder      not 0: by local address, (scope,) local port, then the remote side, each as a number.
 * ulAf        AF_INET or AF_INET6. IPv4 traffic of an IPv6 socket is in the IPv6 table, and only there.
 * Reserved    ignored.
 *
 * 50 for a BASIC class of TCP over IPv6: call GetTcp6Table. 5. */
uint32_t GetExtendedTcpTable(void *pTcpTable, uint32_t *pdwSize, int bOrder, uint32_t ulAf,
                             TCP_TABLE_CLASS TableClass, uint32_t Reserved);
uint32_t GetExtendedUdpTable(void *pUdpTable, uint32_t *pdwSize, int bOrder, uint32_t ulAf,
                             UDP_TABLE_CLASS TableClass, uint32_t Reserved);

/* The tables without owners, and (2) those with the pid. Size, order and codes as above. */
uint32_t GetTcpTable(PMIB_TCPTABLE TcpTable, uint32_t *SizePointer, int Order);
uint32_t GetTcp6Table(PMIB_TCP6TABLE TcpTable, uint32_t *SizePointer, int Order);
uint32_t GetTcpTable2(PMIB_TCPTABLE2 TcpTable, uint32_t *SizePointer, int Order);
uint32_t GetTcp6Table2(PMIB_TCP6TABLE2 TcpTable, uint32_t *SizePointer, int Order);
uint32_t GetUdpTable(PMIB_UDPTABLE UdpTable, uint32_t *SizePointer, int Order);
uint32_t GetUdp6Table(PMIB_UDP6TABLE Udp6Table, uint32_t *SizePointer, int Order);

#ifdef __cplusplus
}
#endif

#endif /* _WIN32 */

#endif
