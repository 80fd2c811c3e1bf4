/* What the callers share: a listener of their own, so that there is a row, and its table.
 *
 * Each program in this directory is one way in which programs out there call GetOwnerModuleFromTcpEntry. They are
 * written as such programs are: what they do not check is not to be checked. */
#ifndef CALLER_H
#define CALLER_H

#include "../os.h"

#include <sockowner/iphlpapi.h>

#define EXPECT(condition) \
    ((condition) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition), exit(1)))

/* The whole table, by the loop that everybody has. */
static inline PMIB_TCPTABLE_OWNER_MODULE whole_table(void) {
    PMIB_TCPTABLE_OWNER_MODULE table = NULL;
    DWORD size = 0, code;
    while ((code = GetExtendedTcpTable(table, &size, TRUE, AF_INET, TCP_TABLE_OWNER_MODULE_ALL, 0)) ==
           ERROR_INSUFFICIENT_BUFFER) {
        free(table);
        table = (PMIB_TCPTABLE_OWNER_MODULE)malloc(size);
    }
    EXPECT(code == NO_ERROR);
    return table;
}

/* The row of a listener that this program makes and keeps. */
static inline MIB_TCPROW_OWNER_MODULE own_row(void) {
    PMIB_TCPTABLE_OWNER_MODULE table;
    MIB_TCPROW_OWNER_MODULE row;
    os_socket listener;
    DWORD i;
    os_begin();
    listener = os_listen(0);
    printf("listening at %u\n", os_port(listener)); /* so that it is seen to have run */
    table = whole_table();
    for (i = 0; i < table->dwNumEntries; i++) {
        row = table->table[i];
        if (row.dwState == MIB_TCP_STATE_LISTEN && row.dwLocalAddr == htonl(0x7F000001) &&
            ntohs((uint16_t)row.dwLocalPort) == os_port(listener)) {
            free(table);
            return row;
        }
    }
    EXPECT(!"the listener has a row");
    exit(1);
}

/* Units before the NUL. */
static inline size_t length_of(const WCHAR *text) {
    size_t length = 0;
    while (text[length] != 0)
        length++;
    return length;
}

/* The path ends with the name, or is the name: a service. */
static inline void check_module(const WCHAR *name, const WCHAR *path) {
    size_t name_length = length_of(name), path_length = length_of(path);
    EXPECT(name_length > 0 && path_length >= name_length);
    EXPECT(memcmp(path + path_length - name_length, name, name_length * sizeof *name) == 0);
}

#endif
