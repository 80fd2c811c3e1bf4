/* A buffer of 16 bytes that grows to what is asked for, as long as it is asked for. */
#include "caller.h"

int main(void) {
    MIB_TCPROW_OWNER_MODULE row = own_row();
    DWORD size = 16, code;
    PTCPIP_OWNER_MODULE_BASIC_INFO info = (PTCPIP_OWNER_MODULE_BASIC_INFO)malloc(size);
    while ((code = GetOwnerModuleFromTcpEntry(&row, TCPIP_OWNER_MODULE_INFO_BASIC, info, &size)) ==
           ERROR_INSUFFICIENT_BUFFER)
        info = (PTCPIP_OWNER_MODULE_BASIC_INFO)realloc(info, size);
    if (code != NO_ERROR)
        return 1;
    check_module(info->pModuleName, info->pModulePath);
    free(info);
    return 0;
}
