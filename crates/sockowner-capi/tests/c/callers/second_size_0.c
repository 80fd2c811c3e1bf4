/* The first return is not looked at, and the size is forgotten before the second call. */
#include "caller.h"

int main(void) {
    MIB_TCPROW_OWNER_MODULE row = own_row();
    PTCPIP_OWNER_MODULE_BASIC_INFO info;
    DWORD size = 0, needed;
    GetOwnerModuleFromTcpEntry(&row, TCPIP_OWNER_MODULE_INFO_BASIC, NULL, &size);
    needed = size;
    info = (PTCPIP_OWNER_MODULE_BASIC_INFO)calloc(1, size);
    size = 0;
    EXPECT(GetOwnerModuleFromTcpEntry(&row, TCPIP_OWNER_MODULE_INFO_BASIC, info, &size) == ERROR_INSUFFICIENT_BUFFER);
    /* It knows the size now, and has nothing in the buffer. */
    EXPECT(size == needed && info->pModuleName == NULL && info->pModulePath == NULL);
    EXPECT(GetOwnerModuleFromTcpEntry(&row, TCPIP_OWNER_MODULE_INFO_BASIC, info, &size) == NO_ERROR);
    check_module(info->pModuleName, info->pModulePath);
    free(info);
    return 0;
}
