/* The size that comes back with success is compared with that of the structure before anything in it is used. */
#include "caller.h"

int main(void) {
    MIB_TCPROW_OWNER_MODULE row = own_row();
    PTCPIP_OWNER_MODULE_BASIC_INFO info = (PTCPIP_OWNER_MODULE_BASIC_INFO)malloc(65536);
    DWORD size = 65536;
    DWORD code = GetOwnerModuleFromTcpEntry(&row, TCPIP_OWNER_MODULE_INFO_BASIC, info, &size);
    if (code != NO_ERROR || size < sizeof *info)
        return 1;
    check_module(info->pModuleName, info->pModulePath);
    free(info);
    return 0;
}
