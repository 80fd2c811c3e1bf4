/* The frame of the checks: see check.h. */
#include "check.h"

void failed(const char *file, int line, const char *what) {
    fflush(stdout);
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    exit(1);
}

void differ(const char *file, int line, const char *what, unsigned long long got, unsigned long long want) {
    if (got == want)
        return;
    fflush(stdout);
    fprintf(stderr, "%s:%d: %s: %lu, not %lu\n", file, line, what, (unsigned long)got, (unsigned long)want);
    exit(1);
}

unsigned scaled(unsigned count) {
    const char *scale = getenv("SOCKOWNER_SCALE");
    unsigned divisor = scale == NULL ? 1 : (unsigned)atoi(scale);
    return divisor == 0 || count / divisor == 0 ? 1 : count / divisor;
}

uint32_t next_random(uint64_t *state) {
    uint64_t bits;
    *state += 0x9E3779B97F4A7C15u; /* splitmix64 */
    bits = *state;
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9u;
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EBu;
    return (uint32_t)(bits >> 32);
}

int run_checks(int argc, char **argv, const check *const *groups) {
    const check *one;
    int listed = argc == 2 && strcmp(argv[1], "--list") == 0, here = argc == 2 && strcmp(argv[1], "--here") == 0;
    int found = 0;
    os_begin();
    for (; *groups != NULL; groups++) {
        for (one = *groups; one->name != NULL; one++) {
            if (listed) {
                printf("%s%s\n", one->name, one->alone ? " alone" : "");
                found = 1;
            } else if (argc == 1 || (here && !one->alone) || strcmp(argv[1], one->name) == 0) {
                printf("%s\n", one->name);
                fflush(stdout);
                one->run();
                found = 1;
            }
        }
    }
    if (!found)
        fprintf(stderr, "there is no such check\n");
    return found ? 0 : 2;
}

size_t row_size(int kind) {
    switch (kind) {
    case TCP: return sizeof(MIB_TCPROW_OWNER_MODULE);
    case TCP6: return sizeof(MIB_TCP6ROW_OWNER_MODULE);
    case UDP: return sizeof(MIB_UDPROW_OWNER_MODULE);
    case UDP6: return sizeof(MIB_UDP6ROW_OWNER_MODULE);
    default: return sizeof(pid_and_info);
    }
}

DWORD *pid_of(any_row *row, int kind) {
    switch (kind) {
    case TCP: return &row->tcp.dwOwningPid;
    case TCP6: return &row->tcp6.dwOwningPid;
    case UDP: return &row->udp.dwOwningPid;
    case UDP6: return &row->udp6.dwOwningPid;
    default: return &row->by_pid.pid;
    }
}

ULONGLONG *info_of(any_row *row, int kind) {
    switch (kind) {
    case TCP: return row->tcp.OwningModuleInfo;
    case TCP6: return row->tcp6.OwningModuleInfo;
    case UDP: return row->udp.OwningModuleInfo;
    case UDP6: return row->udp6.OwningModuleInfo;
    default: return row->by_pid.info;
    }
}

void make_row(any_row *row, int kind, DWORD pid, const ULONGLONG *info) {
    memset(row, 0, sizeof *row);
    *pid_of(row, kind) = pid;
    if (info != NULL)
        memcpy(info_of(row, kind), info, TCPIP_OWNING_MODULE_SIZE * sizeof *info);
}

DWORD ask(int kind, const void *row, int info_class, void *buffer, DWORD *size) {
    TCPIP_OWNER_MODULE_INFO_CLASS of = (TCPIP_OWNER_MODULE_INFO_CLASS)info_class;
    DWORD pid = os_pid();
    ULONGLONG *info = NULL;
    switch (kind) {
    case TCP: return GetOwnerModuleFromTcpEntry((PMIB_TCPROW_OWNER_MODULE)row, of, buffer, size);
    case TCP6: return GetOwnerModuleFromTcp6Entry((PMIB_TCP6ROW_OWNER_MODULE)row, of, buffer, size);
    case UDP: return GetOwnerModuleFromUdpEntry((PMIB_UDPROW_OWNER_MODULE)row, of, buffer, size);
    case UDP6: return GetOwnerModuleFromUdp6Entry((PMIB_UDP6ROW_OWNER_MODULE)row, of, buffer, size);
    default:
        if (row != NULL) {
            memcpy(&pid, row, sizeof pid);
            info = (ULONGLONG *)((uintptr_t)row + offsetof(pid_and_info, info));
        }
        return GetOwnerModuleFromPidAndInfo(pid, info, of, buffer, size);
    }
}

/* Units before the NUL; there must be one among so many bytes. */
static size_t length_of(const unsigned char *text, size_t bytes) {
    size_t length = 0;
    for (;; length++) {
        CHECK(2 * length + 2 <= bytes);
        if (text[2 * length] == 0 && text[2 * length + 1] == 0)
            return length;
    }
}

answer taken(const void *buffer, DWORD size) {
    TCPIP_OWNER_MODULE_BASIC_INFO info;
    answer made;
    CHECK(size >= sizeof info);
    memcpy(&info, buffer, sizeof info);
    CHECK(info.pModuleName != NULL && info.pModulePath != NULL);
    made.size = size;
    made.name = (uintptr_t)info.pModuleName - (uintptr_t)buffer;
    made.path = (uintptr_t)info.pModulePath - (uintptr_t)buffer;
    EQUAL(made.name, sizeof info);
    CHECK(made.name < made.path && made.path < size);
    made.bytes = (unsigned char *)malloc(size);
    os_must(made.bytes != NULL, "malloc");
    memcpy(made.bytes, buffer, size);
    made.name_length = length_of(made.bytes + made.name, made.path - made.name);
    made.path_length = length_of(made.bytes + made.path, size - made.path);
    EQUAL(made.path, made.name + 2 * (made.name_length + 1));
    EQUAL(size, made.path + 2 * (made.path_length + 1));
    return made;
}

answer answer_of(int kind, const void *row) {
    DWORD size = 0;
    void *buffer = NULL;
    DWORD code = ask(kind, row, TCPIP_OWNER_MODULE_INFO_BASIC, NULL, &size);
    answer made;
    EQUAL(code, ERROR_INSUFFICIENT_BUFFER);
    buffer = malloc(size);
    os_must(buffer != NULL, "malloc");
    EQUAL(ask(kind, row, TCPIP_OWNER_MODULE_INFO_BASIC, buffer, &size), NO_ERROR);
    made = taken(buffer, size);
    free(buffer);
    return made;
}

int is_same(const answer *one, const answer *other) {
    size_t start = sizeof(TCPIP_OWNER_MODULE_BASIC_INFO);
    return one->size == other->size && one->name == other->name && one->path == other->path &&
           memcmp(one->bytes + start, other->bytes + start, one->size - start) == 0;
}

static unsigned unit_at(const answer *from, size_t at) {
    uint16_t unit;
    memcpy(&unit, from->bytes + at, sizeof unit);
    return unit;
}

void to_utf8(char *text, size_t room, const answer *from, size_t at, size_t length) {
    size_t i, used = 0;
    for (i = 0; i < length; i++) {
        unsigned long c = unit_at(from, at + 2 * i);
        CHECK(used + 5 < room);
        if (c >= 0xD800 && c < 0xDC00 && i + 1 < length)
            c = 0x10000 + ((c - 0xD800) << 10) + (unit_at(from, at + 2 * ++i) - 0xDC00);
        if (c < 0x80) {
            text[used++] = (char)c;
        } else if (c < 0x800) {
            text[used++] = (char)(0xC0 | c >> 6);
            text[used++] = (char)(0x80 | (c & 0x3F));
        } else if (c < 0x10000) {
            text[used++] = (char)(0xE0 | c >> 12);
            text[used++] = (char)(0x80 | (c >> 6 & 0x3F));
            text[used++] = (char)(0x80 | (c & 0x3F));
        } else {
            text[used++] = (char)(0xF0 | c >> 18);
            text[used++] = (char)(0x80 | (c >> 12 & 0x3F));
            text[used++] = (char)(0x80 | (c >> 6 & 0x3F));
            text[used++] = (char)(0x80 | (c & 0x3F));
        }
    }
    text[used] = 0;
}

void drop(answer *old) {
    free(old->bytes);
    old->bytes = NULL;
}

void *tcp_table(ULONG family, int table_class, DWORD *size) {
    void *table = NULL;
    DWORD code;
    *size = 0;
    while ((code = GetExtendedTcpTable(table, size, 0, family, (TCP_TABLE_CLASS)table_class, 0)) ==
           ERROR_INSUFFICIENT_BUFFER) {
        free(table);
        table = malloc(*size);
        os_must(table != NULL, "malloc");
    }
    EQUAL(code, NO_ERROR);
    return table;
}

int find_listener(unsigned port, MIB_TCPROW_OWNER_MODULE *row) {
    DWORD size, i;
    int found = 0;
    PMIB_TCPTABLE_OWNER_MODULE table =
        (PMIB_TCPTABLE_OWNER_MODULE)tcp_table(AF_INET, TCP_TABLE_OWNER_MODULE_LISTENER, &size);
    for (i = 0; i < table->dwNumEntries; i++) {
        if (ntohs((uint16_t)table->table[i].dwLocalPort) == port &&
            table->table[i].dwLocalAddr == htonl(0x7F000001)) {
            *row = table->table[i];
            found++;
        }
    }
    free(table);
    CHECK(found <= 1);
    return found;
}

own_listener listen_here(void) {
    own_listener made;
    made.socket = os_listen(0);
    CHECK(find_listener(os_port(made.socket), &made.row));
    EQUAL(made.row.dwState, MIB_TCP_STATE_LISTEN);
    EQUAL(made.row.dwOwningPid, os_pid());
    return made;
}
