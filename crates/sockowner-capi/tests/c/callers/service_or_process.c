/* Services are recognised by a path that is the name; a process's is not. What the caller is, the test says. */
#include "caller.h"

int main(int argc, char **argv) {
    MIB_TCPROW_OWNER_MODULE row = own_row();
    PTCPIP_OWNER_MODULE_BASIC_INFO info = (PTCPIP_OWNER_MODULE_BASIC_INFO)malloc(65536);
    DWORD size = 65536;
    size_t length;
    int is_service;
    EXPECT(argc == 2);
    if (GetOwnerModuleFromTcpEntry(&row, TCPIP_OWNER_MODULE_INFO_BASIC, info, &size) != NO_ERROR)
        return 1;
    length = length_of(info->pModuleName);
    is_service = length == length_of(info->pModulePath) &&
                 memcmp(info->pModuleName, info->pModulePath, length * sizeof(WCHAR)) == 0;
    EXPECT(is_service == (strcmp(argv[1], "service") == 0));
    /* The tag is there for a service and for nothing else. */
    EXPECT((row.OwningModuleInfo[0] != 0) == is_service);
    free(info);
    return 0;
}
