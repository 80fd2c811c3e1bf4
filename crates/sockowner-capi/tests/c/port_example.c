/* A program for Windows: it lists TCP endpoints over IPv4 with the module that owns each.
 *
 * It compiles unchanged on Linux with -I.../sockowner/windows; that it prints UTF-16 by itself is why. */
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>
#include <iphlpapi.h>

#include <stdio.h>
#include <stdlib.h>

/* Writes UTF-16 as UTF-8. */
static void print_wide(const WCHAR *text) {
    while (*text != 0) {
        DWORD c = *text++;
        if (c >= 0xD800 && c < 0xDC00 && *text >= 0xDC00 && *text < 0xE000)
            c = 0x10000 + ((c - 0xD800) << 10) + (*text++ - (DWORD)0xDC00);
        if (c < 0x20 || c == 0x7F) {
            putchar('?'); /* a file's name may hold anything */
        } else if (c < 0x80) {
            putchar((int)c);
        } else if (c < 0x800) {
            putchar((int)(0xC0 | c >> 6));
            putchar((int)(0x80 | (c & 0x3F)));
        } else if (c < 0x10000) {
            putchar((int)(0xE0 | c >> 12));
            putchar((int)(0x80 | (c >> 6 & 0x3F)));
            putchar((int)(0x80 | (c & 0x3F)));
        } else {
            putchar((int)(0xF0 | c >> 18));
            putchar((int)(0x80 | (c >> 12 & 0x3F)));
            putchar((int)(0x80 | (c >> 6 & 0x3F)));
            putchar((int)(0x80 | (c & 0x3F)));
        }
    }
}

static void print_module(MIB_TCPROW_OWNER_MODULE *row) {
    TCPIP_OWNER_MODULE_BASIC_INFO *info = NULL;
    DWORD size = 0;
    DWORD code = GetOwnerModuleFromTcpEntry(row, TCPIP_OWNER_MODULE_INFO_BASIC, NULL, &size);
    while (code == ERROR_INSUFFICIENT_BUFFER) {
        free(info);
        info = (TCPIP_OWNER_MODULE_BASIC_INFO *)malloc(size);
        if (info == NULL)
            return;
        code = GetOwnerModuleFromTcpEntry(row, TCPIP_OWNER_MODULE_INFO_BASIC, info, &size);
    }
    if (code == NO_ERROR) {
        print_wide(info->pModuleName);
        putchar(' ');
        print_wide(info->pModulePath);
    } else if (code == ERROR_NOT_FOUND) {
        printf("-");
    } else {
        printf("error %lu", (unsigned long)code);
    }
    free(info);
}

int main(void) {
    MIB_TCPTABLE_OWNER_MODULE *table = NULL;
    DWORD size = 0;
    DWORD i;
    DWORD code = GetExtendedTcpTable(NULL, &size, TRUE, AF_INET, TCP_TABLE_OWNER_MODULE_ALL, 0);
    while (code == ERROR_INSUFFICIENT_BUFFER) { /* it may grow between two calls */
        free(table);
        table = (MIB_TCPTABLE_OWNER_MODULE *)malloc(size);
        if (table == NULL)
            return 1;
        code = GetExtendedTcpTable(table, &size, TRUE, AF_INET, TCP_TABLE_OWNER_MODULE_ALL, 0);
    }
    if (code != NO_ERROR) {
        fprintf(stderr, "GetExtendedTcpTable: error %lu\n", (unsigned long)code);
        free(table);
        return 1;
    }
    for (i = 0; i < table->dwNumEntries; i++) {
        MIB_TCPROW_OWNER_MODULE *row = &table->table[i];
        char local[INET_ADDRSTRLEN] = "?";
        char remote[INET_ADDRSTRLEN] = "?";
        inet_ntop(AF_INET, &row->dwLocalAddr, local, sizeof local);
        inet_ntop(AF_INET, &row->dwRemoteAddr, remote, sizeof remote);
        printf("%s:%d %s:%d state %lu pid %lu ", local, ntohs((USHORT)row->dwLocalPort), remote,
               ntohs((USHORT)row->dwRemotePort), (unsigned long)row->dwState, (unsigned long)row->dwOwningPid);
        print_module(row);
        putchar('\n');
    }
    free(table);
    return 0;
}
