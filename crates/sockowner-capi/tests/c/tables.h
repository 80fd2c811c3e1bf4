/* Every table there is, by function, family and class. */
#ifndef TABLES_H
#define TABLES_H

#include "check.h"

typedef struct table {
    int function;
    ULONG family;
    int table_class;
    DWORD first; /* offset of the first row */
    DWORD row;   /* size of one */
} table;

enum { EXTENDED_TCP, EXTENDED_UDP, TCP_PLAIN, TCP6_PLAIN, TCP_SECOND, TCP6_SECOND, UDP_PLAIN, UDP6_PLAIN };

#define ROWS_OF(function, family, table_class, TABLE, ROW) \
    {function, family, table_class, (DWORD)offsetof(TABLE, table), (DWORD)sizeof(ROW)}
#define THREE(family, first, TABLE, ROW) \
    ROWS_OF(EXTENDED_TCP, family, first, TABLE, ROW), ROWS_OF(EXTENDED_TCP, family, first + 1, TABLE, ROW), \
    ROWS_OF(EXTENDED_TCP, family, first + 2, TABLE, ROW)

enum { EXTENDED_TABLES = 21 };

static const table every_table[] = {
    THREE(AF_INET, 0, MIB_TCPTABLE, MIB_TCPROW),
    THREE(AF_INET, 3, MIB_TCPTABLE_OWNER_PID, MIB_TCPROW_OWNER_PID),
    THREE(AF_INET, 6, MIB_TCPTABLE_OWNER_MODULE, MIB_TCPROW_OWNER_MODULE),
    THREE(AF_INET6, 3, MIB_TCP6TABLE_OWNER_PID, MIB_TCP6ROW_OWNER_PID),
    THREE(AF_INET6, 6, MIB_TCP6TABLE_OWNER_MODULE, MIB_TCP6ROW_OWNER_MODULE),
    ROWS_OF(EXTENDED_UDP, AF_INET, 0, MIB_UDPTABLE, MIB_UDPROW),
    ROWS_OF(EXTENDED_UDP, AF_INET, 1, MIB_UDPTABLE_OWNER_PID, MIB_UDPROW_OWNER_PID),
    ROWS_OF(EXTENDED_UDP, AF_INET, 2, MIB_UDPTABLE_OWNER_MODULE, MIB_UDPROW_OWNER_MODULE),
    ROWS_OF(EXTENDED_UDP, AF_INET6, 0, MIB_UDP6TABLE, MIB_UDP6ROW),
    ROWS_OF(EXTENDED_UDP, AF_INET6, 1, MIB_UDP6TABLE_OWNER_PID, MIB_UDP6ROW_OWNER_PID),
    ROWS_OF(EXTENDED_UDP, AF_INET6, 2, MIB_UDP6TABLE_OWNER_MODULE, MIB_UDP6ROW_OWNER_MODULE),
    ROWS_OF(TCP_PLAIN, 0, 0, MIB_TCPTABLE, MIB_TCPROW),
    ROWS_OF(TCP6_PLAIN, 0, 0, MIB_TCP6TABLE, MIB_TCP6ROW),
    ROWS_OF(TCP_SECOND, 0, 0, MIB_TCPTABLE2, MIB_TCPROW2),
    ROWS_OF(TCP6_SECOND, 0, 0, MIB_TCP6TABLE2, MIB_TCP6ROW2),
    ROWS_OF(UDP_PLAIN, 0, 0, MIB_UDPTABLE, MIB_UDPROW),
    ROWS_OF(UDP6_PLAIN, 0, 0, MIB_UDP6TABLE, MIB_UDP6ROW)};

enum { TABLES = sizeof every_table / sizeof *every_table };

static inline DWORD fetch(const table *of, void *buffer, DWORD *size, int ordered) {
    switch (of->function) {
    case EXTENDED_TCP:
        return GetExtendedTcpTable(buffer, size, ordered, of->family, (TCP_TABLE_CLASS)of->table_class, 0);
    case EXTENDED_UDP:
        return GetExtendedUdpTable(buffer, size, ordered, of->family, (UDP_TABLE_CLASS)of->table_class, 0);
    case TCP_PLAIN: return GetTcpTable((PMIB_TCPTABLE)buffer, size, ordered);
    case TCP6_PLAIN: return GetTcp6Table((PMIB_TCP6TABLE)buffer, size, ordered);
    case TCP_SECOND: return GetTcpTable2((PMIB_TCPTABLE2)buffer, size, ordered);
    case TCP6_SECOND: return GetTcp6Table2((PMIB_TCP6TABLE2)buffer, size, ordered);
    case UDP_PLAIN: return GetUdpTable((PMIB_UDPTABLE)buffer, size, ordered);
    default: return GetUdp6Table((PMIB_UDP6TABLE)buffer, size, ordered);
    }
}

#endif
