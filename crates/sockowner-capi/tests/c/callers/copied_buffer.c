/* The answer is sent elsewhere: offsets instead of pointers, made by subtracting the buffer's base. */
#include "caller.h"

int main(void) {
    MIB_TCPROW_OWNER_MODULE row = own_row();
    char buffer[4096], *elsewhere;
    DWORD size = sizeof buffer;
    TCPIP_OWNER_MODULE_BASIC_INFO info;
    size_t name, path;
    if (GetOwnerModuleFromTcpEntry(&row, TCPIP_OWNER_MODULE_INFO_BASIC, buffer, &size) != NO_ERROR)
        return 1;
    memcpy(&info, buffer, sizeof info);
    name = (size_t)((char *)info.pModuleName - buffer);
    path = (size_t)((char *)info.pModulePath - buffer);
    if (name >= size || path >= size)
        return 2;
    elsewhere = (char *)malloc(size);
    memcpy(elsewhere, buffer, size);
    memset(buffer, 0xFF, sizeof buffer);
    check_module((const WCHAR *)(void *)(elsewhere + name), (const WCHAR *)(void *)(elsewhere + path));
    free(elsewhere);
    return 0;
}
