/* c42: the system refuses netlink to this program (the test sees to that). Every table is CODE, the program's argument,
 * and nothing is written; owners, which need no netlink, are told as ever. */
#include "tables.h"

int main(int argc, char **argv) {
    DWORD expected = argc == 2 ? (DWORD)atoi(argv[1]) : 0;
    unsigned char buffer[256], before[sizeof buffer];
    any_row row;
    answer own;
    int i;
    memset(buffer, 0xA5, sizeof buffer);
    memcpy(before, buffer, sizeof before);
    for (i = 0; i < TABLES; i++) {
        DWORD size = 0x5A5A5A5Au;
        EQUAL(fetch(&every_table[i], NULL, &size, 0), expected);
        EQUAL(size, 0x5A5A5A5Au);
        size = sizeof buffer;
        EQUAL(fetch(&every_table[i], buffer, &size, 1), expected);
        EQUAL(size, sizeof buffer);
        /* Arguments are judged first. */
        EQUAL(fetch(&every_table[i], buffer, NULL, 0), ERROR_INVALID_PARAMETER);
    }
    EQUAL(memcmp(buffer, before, sizeof buffer), 0);
    make_row(&row, TCP, os_pid(), NULL);
    own = answer_of(TCP, &row);
    CHECK(own.path_length > 0);
    drop(&own);
    return 0;
}
