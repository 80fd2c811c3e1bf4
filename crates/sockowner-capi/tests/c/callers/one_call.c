/* One call with 1024 bytes on the stack, as large as it will ever be; no retry, no look at the pointers. */
#include "caller.h"

int main(void) {
    MIB_TCPROW_OWNER_MODULE row = own_row();
    struct {
        char odd; /* so that the array has the alignment of char, and no other */
        char buffer[1024];
        char behind;
    } stack;
    DWORD size = sizeof stack.buffer;
    TCPIP_OWNER_MODULE_BASIC_INFO info;
    WCHAR name[512], path[512];
    stack.behind = 77;
    if (GetOwnerModuleFromTcpEntry(&row, TCPIP_OWNER_MODULE_INFO_BASIC, stack.buffer, &size) != NO_ERROR)
        return 1;
    memcpy(&info, stack.buffer, sizeof info);
    /* Such a caller reads them in place, at odd addresses; what is undefined about that is the caller's. */
    memcpy(name, (char *)info.pModuleName, (size_t)((char *)info.pModulePath - (char *)info.pModuleName));
    memcpy(path, (char *)info.pModulePath, size - (size_t)((char *)info.pModulePath - stack.buffer));
    check_module(name, path);
    EXPECT(stack.behind == 77);
    return 0;
}
