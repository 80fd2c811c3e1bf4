/* Two calls: the first must say 122 and a size, else the row is given up; the second must do. */
#include "caller.h"

int main(void) {
    MIB_TCPROW_OWNER_MODULE row = own_row();
    PTCPIP_OWNER_MODULE_BASIC_INFO info;
    DWORD size = 0;
    if (GetOwnerModuleFromTcpEntry(&row, TCPIP_OWNER_MODULE_INFO_BASIC, NULL, &size) != ERROR_INSUFFICIENT_BUFFER)
        return 1;
    if (size == 0)
        return 2;
    info = (PTCPIP_OWNER_MODULE_BASIC_INFO)malloc(size);
    if (GetOwnerModuleFromTcpEntry(&row, TCPIP_OWNER_MODULE_INFO_BASIC, info, &size) != NO_ERROR)
        return 3;
    check_module(info->pModuleName, info->pModulePath);
    free(info);
    return 0;
}
