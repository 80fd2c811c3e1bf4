/* Who listens at this port of 127.0.0.1: the row's pid, the name and the path; or its pid and the code. */
#include "check.h"

int main(int argc, char **argv) {
    MIB_TCPROW_OWNER_MODULE row;
    char name[8192], path[8192];
    DWORD size = 0, code;
    answer got;
    os_begin();
    if (argc != 2 || !find_listener((unsigned)atoi(argv[1]), &row)) {
        fprintf(stderr, "nobody listens there\n");
        return 3;
    }
    code = ask(TCP, &row, TCPIP_OWNER_MODULE_INFO_BASIC, NULL, &size);
    if (code != ERROR_INSUFFICIENT_BUFFER) {
        printf("%lu\t%lu\n", (unsigned long)row.dwOwningPid, (unsigned long)code);
        return 0;
    }
    got = answer_of(TCP, &row);
    to_utf8(name, sizeof name, &got, got.name, got.name_length);
    to_utf8(path, sizeof path, &got, got.path, got.path_length);
    printf("%lu\t%s\t%s\n", (unsigned long)row.dwOwningPid, name, path);
    drop(&got);
    return 0;
}
