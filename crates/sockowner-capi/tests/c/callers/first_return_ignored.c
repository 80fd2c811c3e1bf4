/* The first return is not looked at: where there was no owner, the second call has a buffer of size 0. */
#include "caller.h"

static DWORD module_of(MIB_TCPROW_OWNER_MODULE *row, PTCPIP_OWNER_MODULE_BASIC_INFO *info) {
    DWORD size = 0;
    GetOwnerModuleFromTcpEntry(row, TCPIP_OWNER_MODULE_INFO_BASIC, NULL, &size);
    *info = (PTCPIP_OWNER_MODULE_BASIC_INFO)malloc(size);
    return GetOwnerModuleFromTcpEntry(row, TCPIP_OWNER_MODULE_INFO_BASIC, *info, &size);
}

int main(void) {
    MIB_TCPROW_OWNER_MODULE row = own_row();
    PTCPIP_OWNER_MODULE_BASIC_INFO info;
    EXPECT(module_of(&row, &info) == NO_ERROR);
    check_module(info->pModuleName, info->pModulePath);
    free(info);
    row.dwOwningPid = 0;
    EXPECT(module_of(&row, &info) == ERROR_NOT_FOUND);
    free(info);
    row.dwOwningPid = os_dead_pid();
    EXPECT(module_of(&row, &info) == ERROR_NOT_FOUND);
    free(info);
    return 0;
}
