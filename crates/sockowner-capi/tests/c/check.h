/* What the groups of checks share: the frame, rows of every kind, and answers taken apart. */
#ifndef CHECK_H
#define CHECK_H

#include "os.h"

#include <sockowner/iphlpapi.h>

/* ---- the frame ------------------------------------------------------------------------------------------------- */

typedef struct check {
    const char *name;
    void (*run)(void);
    int alone; /* needs a network namespace in which nobody else has sockets */
} check;

#define CHECK_OF(function) {#function, function, 0},
#define ALONE(function) {#function, function, 1},
#define NO_CHECK {NULL, NULL, 0}

extern const check arguments_group[], sizing_group[], result_group[], life_group[], tables_group[], rows_group[],
    threads_group[];

/* Does what the command line says with the checks of these groups: nothing for all of them, a name for one, --here for
 * those that need not be alone, --list for their names. */
int run_checks(int argc, char **argv, const check *const *groups);

void failed(const char *file, int line, const char *what);
void differ(const char *file, int line, const char *what, unsigned long long got, unsigned long long want);

#define CHECK(condition) ((condition) ? (void)0 : failed(__FILE__, __LINE__, #condition))
#define EQUAL(got, want) \
    differ(__FILE__, __LINE__, #got " == " #want, (unsigned long long)(got), (unsigned long long)(want))

/* `count`, or what the environment makes of it: divided by SOCKOWNER_SCALE. */
unsigned scaled(unsigned count);

/* Numbers that look random, the same in each run. */
uint32_t next_random(uint64_t *state);

/* ---- rows ------------------------------------------------------------------------------------------------------ */

/* The five functions by what they are asked with. */
enum kind { TCP, TCP6, UDP, UDP6, BY_PID, KINDS };

typedef struct pid_and_info {
    DWORD pid;
    ULONGLONG info[TCPIP_OWNING_MODULE_SIZE];
} pid_and_info;

typedef union any_row {
    MIB_TCPROW_OWNER_MODULE tcp;
    MIB_TCP6ROW_OWNER_MODULE tcp6;
    MIB_UDPROW_OWNER_MODULE udp;
    MIB_UDP6ROW_OWNER_MODULE udp6;
    pid_and_info by_pid;
    unsigned char bytes[sizeof(MIB_TCP6ROW_OWNER_MODULE)];
} any_row;

size_t row_size(int kind);
DWORD *pid_of(any_row *row, int kind);
ULONGLONG *info_of(any_row *row, int kind);
/* Zeros but for the pid and, unless it is NULL, the information. */
void make_row(any_row *row, int kind, DWORD pid, const ULONGLONG *info);
/* The function of that kind; `row` may be anywhere, and NULL stands for a NULL row or information. */
DWORD ask(int kind, const void *row, int info_class, void *buffer, DWORD *size);

/* ---- answers --------------------------------------------------------------------------------------------------- */

/* A copy of a buffer that was filled, and where in it the strings are. */
typedef struct answer {
    DWORD size;
    size_t name, path;             /* in bytes from the buffer's start */
    size_t name_length, path_length; /* in units, without the NUL */
    unsigned char *bytes;
} answer;

/* Takes a filled buffer apart, of any alignment; fails the check where it is not as it must be. */
answer taken(const void *buffer, DWORD size);
/* The answer by two calls. */
answer answer_of(int kind, const void *row);
/* What was answered is the same, wherever the buffers were. */
int is_same(const answer *one, const answer *other);
/* One of the strings as UTF-8. */
void to_utf8(char *text, size_t room, const answer *from, size_t at, size_t length);
void drop(answer *old);

/* ---- tables ---------------------------------------------------------------------------------------------------- */

/* GetExtendedTcpTable in memory of its own, by the loop that callers have. */
void *tcp_table(ULONG family, int table_class, DWORD *size);
/* A listener of this process, and its row. */
typedef struct own_listener {
    os_socket socket;
    MIB_TCPROW_OWNER_MODULE row;
} own_listener;
own_listener listen_here(void);
/* The row of the listener at this port; 0 where there is none. */
int find_listener(unsigned port, MIB_TCPROW_OWNER_MODULE *row);

#endif
