/* A program for Windows that tells the owner of a listener of its own: one line with the row's pid, the program's own
 * pid, and the module's name and path, with tabs between.
 *
 * It compiles unchanged on Linux with -I.../sockowner/windows. What os.h adds are sockets and the own pid. */
#include "os.h"

#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>
#include <iphlpapi.h>

/* This program and its path are made of letters that ASCII has. */
static void print_wide(const WCHAR *text) {
    for (; *text != 0; text++)
        putchar(*text >= ' ' && *text < 127 ? (int)*text : '?');
}

static int print_owner(MIB_TCPROW_OWNER_MODULE *row) {
    TCPIP_OWNER_MODULE_BASIC_INFO *info = NULL;
    DWORD size = 0;
    DWORD code = GetOwnerModuleFromTcpEntry(row, TCPIP_OWNER_MODULE_INFO_BASIC, NULL, &size);
    while (code == ERROR_INSUFFICIENT_BUFFER) {
        free(info);
        info = (TCPIP_OWNER_MODULE_BASIC_INFO *)malloc(size);
        os_must(info != NULL, "malloc");
        code = GetOwnerModuleFromTcpEntry(row, TCPIP_OWNER_MODULE_INFO_BASIC, info, &size);
    }
    if (code == NO_ERROR) {
        printf("%lu\t%lu\t", (unsigned long)row->dwOwningPid, (unsigned long)os_pid());
        print_wide(info->pModuleName);
        putchar('\t');
        print_wide(info->pModulePath);
        putchar('\n');
    } else {
        fprintf(stderr, "GetOwnerModuleFromTcpEntry: error %lu, pid %lu\n", (unsigned long)code,
                (unsigned long)row->dwOwningPid);
    }
    free(info);
    return code != NO_ERROR;
}

int main(void) {
    MIB_TCPTABLE_OWNER_MODULE *table = NULL;
    os_socket listener;
    DWORD size = 0, code, i;
    int result = 1;
    os_begin();
    listener = os_listen(0);
    code = GetExtendedTcpTable(NULL, &size, TRUE, AF_INET, TCP_TABLE_OWNER_MODULE_LISTENER, 0);
    while (code == ERROR_INSUFFICIENT_BUFFER) {
        free(table);
        table = (MIB_TCPTABLE_OWNER_MODULE *)malloc(size);
        os_must(table != NULL, "malloc");
        code = GetExtendedTcpTable(table, &size, TRUE, AF_INET, TCP_TABLE_OWNER_MODULE_LISTENER, 0);
    }
    if (code != NO_ERROR)
        fprintf(stderr, "GetExtendedTcpTable: error %lu\n", (unsigned long)code);
    for (i = 0; code == NO_ERROR && i < table->dwNumEntries; i++) {
        MIB_TCPROW_OWNER_MODULE *row = &table->table[i];
        if (row->dwLocalAddr == htonl(0x7F000001) && ntohs((USHORT)row->dwLocalPort) == os_port(listener))
            result = print_owner(row);
    }
    free(table);
    os_close(listener);
    return result;
}
