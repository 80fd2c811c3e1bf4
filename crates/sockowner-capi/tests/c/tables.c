/* c43 to c48, c51, c52: tables. Order, TIME_WAIT and what the tables hold are staged: see live_contract/tables.rs. */
#include "tables.h"

/* A table in memory of its own, by the loop that callers have. */
static unsigned char *fetched(const table *of, DWORD *size) {
    unsigned char *buffer = NULL;
    DWORD code;
    *size = 0;
    while ((code = fetch(of, buffer, size, 0)) == ERROR_INSUFFICIENT_BUFFER) {
        free(buffer);
        buffer = (unsigned char *)malloc(*size);
        os_must(buffer != NULL, "malloc");
    }
    EQUAL(code, NO_ERROR);
    CHECK(buffer != NULL);
    return buffer;
}

static DWORD count_of(const unsigned char *buffer) {
    DWORD count;
    memcpy(&count, buffer, sizeof count);
    return count;
}

/* Something for each table: a listener, both ends of a connection, a datagram socket, of each family. */
typedef struct sockets {
    os_socket made[8];
} sockets;

static sockets open_some(void) {
    sockets some;
    int v6;
    for (v6 = 0; v6 < 2; v6++) {
        os_socket *made = some.made + 4 * v6;
        made[0] = os_listen(v6);
        made[1] = os_connect(v6, os_port(made[0]));
        made[2] = os_accept(made[0]);
        made[3] = os_bind(v6, SOCK_DGRAM);
    }
    return some;
}

static void close_all(const sockets *some) {
    int i;
    for (i = 0; i < 8; i++)
        os_close(some->made[i]);
}

static void c43_an_empty_table_has_8_or_4_bytes(void) {
    int i;
    for (i = 0; i < TABLES; i++) {
        const table *of = &every_table[i];
        unsigned char buffer[16];
        DWORD size = 0, zero = 0;
        int has_64_bits = of->row >= 160;
        EQUAL(of->first, has_64_bits ? 8 : 4);
        EQUAL(fetch(of, NULL, &size, 0), ERROR_INSUFFICIENT_BUFFER);
        EQUAL(size, of->first);
        memset(buffer, 0xA5, sizeof buffer);
        size = sizeof buffer;
        EQUAL(fetch(of, buffer, &size, 1), NO_ERROR);
        EQUAL(size, of->first);
        EQUAL(memcmp(buffer, &zero, sizeof zero), 0);
        EQUAL(buffer[of->first], 0xA5);
    }
}

static void c44_a_null_table_is_122_even_with_a_large_size(void) {
    const DWORD sizes[] = {0, 1, 1u << 20, 0xFFFFFFFFu};
    size_t j;
    int i;
    for (i = 0; i < TABLES; i++) {
        for (j = 0; j < sizeof sizes / sizeof *sizes; j++) {
            DWORD size = sizes[j];
            EQUAL(fetch(&every_table[i], NULL, &size, 0), ERROR_INSUFFICIENT_BUFFER);
            CHECK(size >= every_table[i].first && size != sizes[j]);
            EQUAL((size - every_table[i].first) % every_table[i].row, 0);
        }
    }
}

/* 87 from both functions, nothing written. */
static void is_refused(ULONG family, int table_class, int tcp, int udp) {
    unsigned char buffer[64], before[sizeof buffer];
    DWORD size = sizeof buffer;
    memset(buffer, 0xA5, sizeof buffer);
    memcpy(before, buffer, sizeof before);
    if (tcp)
        EQUAL(GetExtendedTcpTable(buffer, &size, 0, family, (TCP_TABLE_CLASS)table_class, 0), ERROR_INVALID_PARAMETER);
    if (udp)
        EQUAL(GetExtendedUdpTable(buffer, &size, 0, family, (UDP_TABLE_CLASS)table_class, 0), ERROR_INVALID_PARAMETER);
    EQUAL(size, sizeof buffer);
    EQUAL(memcmp(buffer, before, sizeof buffer), 0);
}

static void c45_another_family_is_87(void) {
    const ULONG families[] = {
        0, 1, 3, 9, 11, 22, 24, 0xFFFFFFFFu, 0x10002,
#ifdef _WIN32
        10, /* is Linux' AF_INET6, and taken there alone */
#endif
    };
    size_t i;
    int table_class;
    for (i = 0; i < sizeof families / sizeof *families; i++) {
        for (table_class = 0; table_class < 9; table_class++)
            is_refused(families[i], table_class, 1, table_class < 3);
    }
}

static void c46_another_class_is_87(void) {
    const ULONG families[] = {AF_INET, AF_INET6, 0};
    const int classes[] = {9, 10, -1, -2, -3, 0x7FFFFFFF, -0x7FFFFFFF - 1};
    size_t i, j;
    int table_class;
    for (i = 0; i < sizeof families / sizeof *families; i++) {
        for (j = 0; j < sizeof classes / sizeof *classes; j++)
            is_refused(families[i], classes[j], 1, 1);
        for (table_class = 3; table_class < 9; table_class++)
            is_refused(families[i], table_class, 0, 1);
    }
}

static void c47_basic_over_ipv6_is_50_for_tcp_and_a_table_for_udp(void) {
    const ULONG families[] = {AF_INET6, 23};
    os_socket own = os_bind(1, SOCK_DGRAM);
    size_t i;
    int table_class;
    for (i = 0; i < sizeof families / sizeof *families; i++) {
        unsigned char buffer[64], *rows;
        table of = ROWS_OF(EXTENDED_UDP, 0, UDP_TABLE_BASIC, MIB_UDP6TABLE, MIB_UDP6ROW);
        DWORD size = sizeof buffer;
        buffer[0] = 0xA5;
        for (table_class = 0; table_class < 3; table_class++) {
            EQUAL(GetExtendedTcpTable(buffer, &size, 0, families[i], (TCP_TABLE_CLASS)table_class, 0),
                  ERROR_NOT_SUPPORTED);
            EQUAL(GetExtendedTcpTable(NULL, &size, 0, families[i], (TCP_TABLE_CLASS)table_class, 0),
                  ERROR_NOT_SUPPORTED);
            EQUAL(GetExtendedTcpTable(NULL, NULL, 0, families[i], (TCP_TABLE_CLASS)table_class, 0),
                  ERROR_INVALID_PARAMETER);
        }
        EQUAL(size, sizeof buffer);
        EQUAL(buffer[0], 0xA5);
        of.family = families[i];
        rows = fetched(&of, &size);
        CHECK(count_of(rows) >= 1);
        EQUAL(count_of(rows), (size - of.first) / of.row);
        free(rows);
    }
    os_close(own);
}

/* The part of a row that says the same as long as the socket and its owner do: OwningModuleInfo is opaque. */
static DWORD told_of(const table *of) {
    return of->row < 160 ? of->row : of->row - (DWORD)(TCPIP_OWNING_MODULE_SIZE * sizeof(ULONGLONG));
}

/* Each row of `part` is one of `whole`. */
static void is_part(const table *of, const unsigned char *part, const unsigned char *whole) {
    DWORD i, j;
    for (i = 0; i < count_of(part); i++) {
        for (j = 0; memcmp(part + of->first + i * of->row, whole + of->first + j * of->row, told_of(of)) != 0; j++)
            CHECK(j + 1 < count_of(whole));
    }
}

static void c48_listeners_and_connections_are_all(void) {
    sockets some = open_some();
    os_socket bound = os_bind(0, SOCK_STREAM);
    int i;
    for (i = 0; i < 15; i += 3) {
        const table *of = &every_table[i];
        DWORD size;
        unsigned char *listeners = fetched(of, &size), *connections = fetched(of + 1, &size);
        unsigned char *all = fetched(of + 2, &size);
        EQUAL(count_of(listeners), 1);
        CHECK(count_of(connections) >= 2);
        EQUAL(count_of(listeners) + count_of(connections), count_of(all));
        is_part(of, listeners, all);
        is_part(of, connections, all);
        free(listeners);
        free(connections);
        free(all);
    }
    os_close(bound);
    close_all(&some);
}

static void c51_a_table_that_grows_is_had_by_the_loop(void) {
    int i, j;
    for (i = 0; i < TABLES; i++) {
        const table *of = &every_table[i];
        sockets some[3];
        DWORD size = 0, before, rounds = 0, code;
        unsigned char *buffer;
        some[0] = open_some();
        EQUAL(fetch(of, NULL, &size, 0), ERROR_INSUFFICIENT_BUFFER);
        before = size;
        buffer = (unsigned char *)malloc(size);
        os_must(buffer != NULL, "malloc");
        some[1] = open_some();
        some[2] = open_some();
        while ((code = fetch(of, buffer, &size, 0)) == ERROR_INSUFFICIENT_BUFFER) {
            buffer = (unsigned char *)realloc(buffer, size);
            os_must(buffer != NULL, "realloc");
            rounds++;
        }
        EQUAL(code, NO_ERROR);
        EQUAL(rounds, 1);
        CHECK(size > before);
        EQUAL(count_of(buffer), (size - of->first) / of->row);
        free(buffer);
        for (j = 0; j < 3; j++)
            close_all(&some[j]);
    }
}

static void c52_all_five_functions_agree(void) {
    own_listener own = listen_here();
    const ULONGLONG zeros[TCPIP_OWNING_MODULE_SIZE] = {0};
    const ULONGLONG *infos[2];
    const DWORD pids[] = {os_pid(), 0, os_dead_pid(), 0xFFFFFFFFu};
    size_t i, j;
    infos[0] = own.row.OwningModuleInfo;
    infos[1] = zeros;
    for (i = 0; i < sizeof pids / sizeof *pids; i++) {
        for (j = 0; j < 2; j++) {
            unsigned char expected[4096], got[4096];
            DWORD size = sizeof expected, code, again;
            size_t start = sizeof(TCPIP_OWNER_MODULE_BASIC_INFO);
            any_row row;
            int kind;
            memset(expected, 0xA5, sizeof expected);
            make_row(&row, TCP, pids[i], infos[j]);
            code = ask(TCP, &row, TCPIP_OWNER_MODULE_INFO_BASIC, expected, &size);
            EQUAL(code, i == 0 ? NO_ERROR : ERROR_NOT_FOUND);
            for (kind = TCP6; kind < KINDS; kind++) {
                memset(got, 0xA5, sizeof got);
                again = sizeof got;
                make_row(&row, kind, pids[i], infos[j]);
                EQUAL(ask(kind, &row, TCPIP_OWNER_MODULE_INFO_BASIC, got, &again), code);
                EQUAL(again, size);
                EQUAL(memcmp(got + start, expected + start, sizeof got - start), 0);
            }
        }
    }
    os_close(own.socket);
}

static void tables_have_the_size_rule(void) {
    sockets some = open_some();
    int i;
    for (i = 0; i < TABLES; i++) {
        const table *of = &every_table[i];
        DWORD size = 0, needed, short_by;
        unsigned char *end;
        EQUAL(fetch(of, NULL, &size, 1), ERROR_INSUFFICIENT_BUFFER);
        needed = size;
        CHECK(needed > of->first);
        for (short_by = 1; short_by <= of->row && short_by <= 24; short_by++) {
            end = os_guarded_end(needed, 0xA5);
            size = needed - short_by;
            EQUAL(fetch(of, end - size, &size, 1), ERROR_INSUFFICIENT_BUFFER);
            EQUAL(size, needed);
            EQUAL(end[-1], 0xA5);
            EQUAL(*(end - needed + short_by), 0xA5);
        }
        end = os_guarded_end(needed + 1, 0xA5);
        size = needed;
        /* At an odd address, and with a byte behind. */
        EQUAL(fetch(of, end - 1 - needed, &size, 1), NO_ERROR);
        EQUAL(size, needed);
        EQUAL(end[-1], 0xA5);
        EQUAL(count_of(end - 1 - needed), (needed - of->first) / of->row);
        EQUAL(fetch(of, end - 1 - needed, NULL, 1), ERROR_INVALID_PARAMETER);
        EQUAL(fetch(of, NULL, NULL, 1), ERROR_INVALID_PARAMETER);
    }
    close_all(&some);
}

static void reserved_is_ignored(void) {
    sockets some = open_some();
    int i;
    for (i = 0; i < EXTENDED_TABLES; i++) {
        const table *of = &every_table[i];
        DWORD size = 0, again = 0;
        unsigned char *expected = fetched(of, &size), *got = (unsigned char *)malloc(size);
        os_must(got != NULL, "malloc");
        again = size;
        if (of->function == EXTENDED_TCP)
            EQUAL(GetExtendedTcpTable(got, &again, 0, of->family, (TCP_TABLE_CLASS)of->table_class, 0xFFFFFFFFu), 0);
        else
            EQUAL(GetExtendedUdpTable(got, &again, 0, of->family, (UDP_TABLE_CLASS)of->table_class, 0xFFFFFFFFu), 0);
        EQUAL(again, size);
        EQUAL(count_of(got), count_of(expected));
        is_part(of, got, expected);
        is_part(of, expected, got);
        free(expected);
        free(got);
    }
    close_all(&some);
}

const check tables_group[] = {
    ALONE(c43_an_empty_table_has_8_or_4_bytes)
    CHECK_OF(c44_a_null_table_is_122_even_with_a_large_size)
    CHECK_OF(c45_another_family_is_87)
    CHECK_OF(c46_another_class_is_87)
    CHECK_OF(c47_basic_over_ipv6_is_50_for_tcp_and_a_table_for_udp)
    ALONE(c48_listeners_and_connections_are_all)
    ALONE(c51_a_table_that_grows_is_had_by_the_loop)
    CHECK_OF(c52_all_five_functions_agree)
    ALONE(tables_have_the_size_rule)
    ALONE(reserved_is_ignored)
    NO_CHECK};
