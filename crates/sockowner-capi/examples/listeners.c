#include <sockowner/iphlpapi.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    MIB_TCPTABLE_OWNER_MODULE *table = NULL;
    DWORD size = 0, code;
    while ((code = GetExtendedTcpTable(table, &size, TRUE, AF_INET, TCP_TABLE_OWNER_MODULE_LISTENER, 0)) ==
           ERROR_INSUFFICIENT_BUFFER)
        table = realloc(table, size);
    for (DWORD i = 0; code == NO_ERROR && i < table->dwNumEntries; i++) {
        MIB_TCPROW_OWNER_MODULE *row = &table->table[i];
        union { TCPIP_OWNER_MODULE_BASIC_INFO info; char room[8192]; } owner;
        DWORD room = sizeof owner;
        DWORD found = GetOwnerModuleFromTcpEntry(row, TCPIP_OWNER_MODULE_INFO_BASIC, &owner, &room);
        printf("port %d, pid %u: ", ntohs((uint16_t)row->dwLocalPort), row->dwOwningPid);
        for (WCHAR *c = owner.info.pModulePath; found == NO_ERROR && *c != 0; c++)
            putchar(*c >= ' ' && *c < 127 ? (int)*c : '?');
        printf(found == NO_ERROR ? "\n" : "error %u\n", found);
    }
    free(table);
    return code == NO_ERROR ? 0 : 1;
}
