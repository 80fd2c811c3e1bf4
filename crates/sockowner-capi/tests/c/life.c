/* c29, c30, c38: owners that are none. Those whose life has to be staged are in live_contract/. */
#include "check.h"

#define BASIC TCPIP_OWNER_MODULE_INFO_BASIC

/* 1168 by every function, with and without room; nothing written. */
static void is_not_found(DWORD pid) {
    unsigned char buffer[1024], before[sizeof buffer];
    any_row row;
    int kind;
    memset(buffer, 0xA5, sizeof buffer);
    memcpy(before, buffer, sizeof before);
    for (kind = 0; kind < KINDS; kind++) {
        DWORD size = sizeof buffer;
        make_row(&row, kind, pid, NULL);
        EQUAL(ask(kind, &row, BASIC, buffer, &size), ERROR_NOT_FOUND);
        EQUAL(size, sizeof buffer);
        EQUAL(ask(kind, &row, BASIC, NULL, &size), ERROR_NOT_FOUND);
        EQUAL(size, sizeof buffer);
        size = 0;
        EQUAL(ask(kind, &row, BASIC, buffer, &size), ERROR_NOT_FOUND);
        EQUAL(size, 0);
    }
    EQUAL(memcmp(buffer, before, sizeof buffer), 0);
}

static void c29_pid_0_is_1168(void) {
    is_not_found(0);
}

static void c30_a_dead_pid_is_1168(void) {
    is_not_found(os_dead_pid());
    is_not_found(0xFFFFFFFFu);
    is_not_found(0x80000000u);
    is_not_found(0x7FFFFFFFu);
}

/* One of each way to fail. */
static void fail_once(DWORD dead, const own_listener *own) {
    unsigned char buffer[8];
    any_row row;
    DWORD size;
    int kind;
    for (kind = 0; kind < KINDS; kind++) {
        size = sizeof buffer;
        make_row(&row, kind, os_pid(), NULL);
        EQUAL(ask(kind, &row, BASIC, buffer, &size), ERROR_INSUFFICIENT_BUFFER);
        EQUAL(ask(kind, &row, 1, buffer, &size), ERROR_INVALID_PARAMETER);
        make_row(&row, kind, dead, NULL);
        EQUAL(ask(kind, &row, BASIC, buffer, &size), ERROR_NOT_FOUND);
        make_row(&row, kind, dead, own->row.OwningModuleInfo);
        EQUAL(ask(kind, &row, BASIC, buffer, &size), ERROR_NOT_FOUND);
        make_row(&row, kind, os_pid(), own->row.OwningModuleInfo);
        size = 0;
        EQUAL(ask(kind, &row, BASIC, buffer, &size), ERROR_INSUFFICIENT_BUFFER);
    }
    size = 0;
    EQUAL(GetExtendedTcpTable(NULL, &size, 0, 0, TCP_TABLE_OWNER_MODULE_ALL, 0), ERROR_INVALID_PARAMETER);
    EQUAL(GetExtendedTcpTable(NULL, &size, 0, AF_INET6, TCP_TABLE_BASIC_ALL, 0), ERROR_NOT_SUPPORTED);
    EQUAL(GetTcpTable(NULL, &size, 0), ERROR_INSUFFICIENT_BUFFER);
}

static void c38_ten_thousand_failing_calls_leak_no_descriptor(void) {
    enum { CALLS_EACH = 5 * KINDS + 3 };
    unsigned rounds = scaled(10000) / CALLS_EACH + 1, before, i;
    DWORD dead = os_dead_pid();
    own_listener own = listen_here();
    fail_once(dead, &own);
    before = os_handles();
    for (i = 0; i < rounds; i++)
        fail_once(dead, &own);
    EQUAL(os_handles(), before);
    os_close(own.socket);
}

const check life_group[] = {
    CHECK_OF(c29_pid_0_is_1168)
    CHECK_OF(c30_a_dead_pid_is_1168)
    CHECK_OF(c38_ten_thousand_failing_calls_leak_no_descriptor)
    NO_CHECK};
