/* Every row, as a list of connections shows them: the numbers 0 and 4 have names of their own, 1168 is an ordinary
 * answer, anything else is logged as an error. */
#include "caller.h"

int main(void) {
    MIB_TCPROW_OWNER_MODULE own = own_row();
    PMIB_TCPTABLE_OWNER_MODULE table = whole_table();
    int errors = 0, is_there = 0;
    DWORD i;
    for (i = 0; i < table->dwNumEntries; i++) {
        PMIB_TCPROW_OWNER_MODULE row = &table->table[i];
        char buffer[65536];
        DWORD size = sizeof buffer, code;
        if (row->dwOwningPid == 0) {
            printf("%5d [System Process]\n", ntohs((uint16_t)row->dwLocalPort));
            continue;
        }
        if (row->dwOwningPid == 4) {
            printf("%5d System\n", ntohs((uint16_t)row->dwLocalPort));
            continue;
        }
        code = GetOwnerModuleFromTcpEntry(row, TCPIP_OWNER_MODULE_INFO_BASIC, buffer, &size);
        if (code == ERROR_NOT_FOUND) {
            printf("%5d -\n", ntohs((uint16_t)row->dwLocalPort));
        } else if (code != NO_ERROR) {
            fprintf(stderr, "%5d error %lu\n", ntohs((uint16_t)row->dwLocalPort), (unsigned long)code);
            errors++;
        } else {
            printf("%5d %lu bytes\n", ntohs((uint16_t)row->dwLocalPort), (unsigned long)size);
            is_there += row->dwOwningPid == own.dwOwningPid;
        }
    }
    free(table);
    EXPECT(is_there == 1);
    return errors != 0;
}
