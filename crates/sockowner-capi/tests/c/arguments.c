/* c01 to c09: what is asked with. */
#include "check.h"

#define BASIC TCPIP_OWNER_MODULE_INFO_BASIC

/* A size that nobody would write. */
#define UNTOUCHED 0x5A5A5A5Au

static const int wrong_classes[] = {1, -1, 0x7FFFFFFF};

static void c01_row_null_is_87(void) {
    unsigned char buffer[1024];
    DWORD size = sizeof buffer;
    int kind;
    for (kind = 0; kind < BY_PID; kind++) {
        EQUAL(ask(kind, NULL, BASIC, buffer, &size), ERROR_INVALID_PARAMETER);
        EQUAL(ask(kind, NULL, BASIC, NULL, &size), ERROR_INVALID_PARAMETER);
        EQUAL(ask(kind, NULL, BASIC, NULL, NULL), ERROR_INVALID_PARAMETER);
        EQUAL(ask(kind, NULL, 1, buffer, &size), ERROR_INVALID_PARAMETER);
    }
    EQUAL(size, sizeof buffer);
}

static void c02_size_null_is_87(void) {
    const DWORD pids[] = {os_pid(), 0, 0xFFFFFFFFu};
    unsigned char buffer[1024];
    any_row row;
    size_t i;
    int kind;
    for (kind = 0; kind < KINDS; kind++) {
        for (i = 0; i < sizeof pids / sizeof *pids; i++) {
            make_row(&row, kind, pids[i], NULL);
            EQUAL(ask(kind, &row, BASIC, buffer, NULL), ERROR_INVALID_PARAMETER);
            EQUAL(ask(kind, &row, BASIC, NULL, NULL), ERROR_INVALID_PARAMETER);
        }
    }
}

static void c03_info_null_is_87(void) {
    const DWORD pids[] = {os_pid(), 0, 0xFFFFFFFFu};
    unsigned char buffer[1024];
    DWORD size = sizeof buffer;
    size_t i;
    for (i = 0; i < sizeof pids / sizeof *pids; i++) {
        EQUAL(GetOwnerModuleFromPidAndInfo(pids[i], NULL, BASIC, buffer, &size), ERROR_INVALID_PARAMETER);
        EQUAL(GetOwnerModuleFromPidAndInfo(pids[i], NULL, BASIC, NULL, &size), ERROR_INVALID_PARAMETER);
        EQUAL(GetOwnerModuleFromPidAndInfo(pids[i], NULL, BASIC, NULL, NULL), ERROR_INVALID_PARAMETER);
    }
    EQUAL(size, sizeof buffer);
}

static void c04_another_class_is_87_even_with_pid_0(void) {
    const DWORD pids[] = {os_pid(), 0, 0xFFFFFFFFu};
    unsigned char buffer[1024];
    DWORD size = sizeof buffer;
    any_row row;
    size_t i, j;
    int kind;
    for (kind = 0; kind < KINDS; kind++) {
        for (i = 0; i < sizeof pids / sizeof *pids; i++) {
            make_row(&row, kind, pids[i], NULL);
            for (j = 0; j < sizeof wrong_classes / sizeof *wrong_classes; j++) {
                EQUAL(ask(kind, &row, wrong_classes[j], buffer, &size), ERROR_INVALID_PARAMETER);
                EQUAL(ask(kind, &row, wrong_classes[j], NULL, &size), ERROR_INVALID_PARAMETER);
            }
        }
    }
    EQUAL(size, sizeof buffer);
}

static void c05_after_87_nothing_changed(void) {
    unsigned char buffer[1024], before[sizeof buffer];
    any_row row, copy;
    DWORD size = UNTOUCHED;
    size_t j;
    int kind;
    memset(buffer, 0xA5, sizeof buffer);
    memcpy(before, buffer, sizeof before);
    for (kind = 0; kind < KINDS; kind++) {
        make_row(&row, kind, os_pid(), NULL);
        copy = row;
        EQUAL(ask(kind, NULL, BASIC, buffer, &size), ERROR_INVALID_PARAMETER);
        EQUAL(ask(kind, &row, BASIC, buffer, NULL), ERROR_INVALID_PARAMETER);
        for (j = 0; j < sizeof wrong_classes / sizeof *wrong_classes; j++)
            EQUAL(ask(kind, &row, wrong_classes[j], buffer, &size), ERROR_INVALID_PARAMETER);
        EQUAL(size, UNTOUCHED);
        EQUAL(memcmp(&row, &copy, sizeof row), 0);
    }
    EQUAL(memcmp(buffer, before, sizeof buffer), 0);
}

static void c06_odd_addresses_are_accepted(void) {
    unsigned char *raw_buffer = (unsigned char *)malloc(65536 + 16);
    unsigned char raw_row[sizeof(any_row) + 16], raw_size[sizeof(DWORD) + 16];
    any_row row;
    answer aligned, odd;
    DWORD size, code;
    int kind, shift;
    os_must(raw_buffer != NULL, "malloc");
    for (kind = 0; kind < KINDS; kind++) {
        make_row(&row, kind, os_pid(), NULL);
        aligned = answer_of(kind, &row);
        for (shift = 0; shift < 16; shift++) {
            memcpy(raw_row + shift, &row, row_size(kind));
            size = 0;
            memcpy(raw_size + shift, &size, sizeof size);
            code = ask(kind, raw_row + shift, BASIC, NULL, (DWORD *)(void *)(raw_size + shift));
            EQUAL(code, ERROR_INSUFFICIENT_BUFFER);
            memcpy(&size, raw_size + shift, sizeof size);
            EQUAL(size, aligned.size);
            code = ask(kind, raw_row + shift, BASIC, raw_buffer + shift, (DWORD *)(void *)(raw_size + shift));
            EQUAL(code, NO_ERROR);
            memcpy(&size, raw_size + shift, sizeof size);
            odd = taken(raw_buffer + shift, size);
            CHECK(is_same(&aligned, &odd));
            drop(&odd);
        }
        drop(&aligned);
    }
    free(raw_buffer);
}

static void c07_the_row_is_never_written(void) {
    const DWORD pids[] = {os_pid(), 0, 0xFFFFFFFFu};
    unsigned char buffer[65536];
    any_row row;
    DWORD size;
    size_t i;
    int kind;
    for (kind = 0; kind < KINDS; kind++) {
        for (i = 0; i < sizeof pids / sizeof *pids; i++) {
            /* Nor is anything read behind it. */
            unsigned char *end = os_guarded_end(row_size(kind), 0), *start = end - row_size(kind);
            DWORD expected = i == 0 ? (DWORD)NO_ERROR : (DWORD)ERROR_NOT_FOUND;
            make_row(&row, kind, pids[i], NULL);
            memcpy(start, &row, row_size(kind));
            os_protect(end, row_size(kind));
            size = sizeof buffer;
            EQUAL(ask(kind, start, BASIC, buffer, &size), expected);
            size = 0;
            EQUAL(ask(kind, start, BASIC, buffer, &size), i == 0 ? (DWORD)ERROR_INSUFFICIENT_BUFFER : expected);
            EQUAL(ask(kind, start, 1, buffer, &size), ERROR_INVALID_PARAMETER);
        }
    }
}

/* The pid is a size, too: read as both before anything is written. */
static void c08_the_size_may_be_the_rows_pid(void) {
    DWORD pid = os_pid(), size;
    unsigned char *buffer = (unsigned char *)malloc(pid);
    any_row row;
    answer expected, got;
    int kind;
    os_must(buffer != NULL, "malloc");
    for (kind = 0; kind < BY_PID; kind++) {
        make_row(&row, kind, pid, NULL);
        expected = answer_of(kind, &row);
        EQUAL(ask(kind, &row, BASIC, NULL, pid_of(&row, kind)), ERROR_INSUFFICIENT_BUFFER);
        EQUAL(*pid_of(&row, kind), expected.size);
        make_row(&row, kind, pid, NULL);
        size = ask(kind, &row, BASIC, buffer, pid_of(&row, kind));
        EQUAL(size, pid < expected.size ? ERROR_INSUFFICIENT_BUFFER : NO_ERROR);
        EQUAL(*pid_of(&row, kind), expected.size);
        if (pid >= expected.size) {
            got = taken(buffer, expected.size);
            CHECK(is_same(&expected, &got));
            drop(&got);
        }
        drop(&expected);
    }
    free(buffer);
}

static void c09_only_pid_and_information_matter(void) {
    own_listener own = listen_here();
    any_row row, noise;
    answer expected, got;
    uint64_t random = 9;
    size_t i;
    int kind, round;
    for (kind = 0; kind < BY_PID; kind++) {
        make_row(&row, kind, own.row.dwOwningPid, own.row.OwningModuleInfo);
        expected = answer_of(kind, &row);
        for (round = 0; round < 8; round++) {
            for (i = 0; i < sizeof noise.bytes; i++)
                noise.bytes[i] = (unsigned char)next_random(&random);
            *pid_of(&noise, kind) = own.row.dwOwningPid;
            memcpy(info_of(&noise, kind), own.row.OwningModuleInfo, sizeof own.row.OwningModuleInfo);
#ifdef _WIN32 /* there the time of the bind is a proof: 0 is none */
            memset(kind == TCP    ? &noise.tcp.liCreateTimestamp
                   : kind == TCP6 ? &noise.tcp6.liCreateTimestamp
                   : kind == UDP  ? &noise.udp.liCreateTimestamp
                                  : &noise.udp6.liCreateTimestamp,
                   0, sizeof noise.tcp.liCreateTimestamp);
#endif
            got = answer_of(kind, &noise);
            CHECK(is_same(&expected, &got));
            drop(&got);
        }
        drop(&expected);
    }
    os_close(own.socket);
}

const check arguments_group[] = {
    CHECK_OF(c01_row_null_is_87)
    CHECK_OF(c02_size_null_is_87)
    CHECK_OF(c03_info_null_is_87)
    CHECK_OF(c04_another_class_is_87_even_with_pid_0)
    CHECK_OF(c05_after_87_nothing_changed)
    CHECK_OF(c06_odd_addresses_are_accepted)
    CHECK_OF(c07_the_row_is_never_written)
    CHECK_OF(c08_the_size_may_be_the_rows_pid)
    CHECK_OF(c09_only_pid_and_information_matter)
    NO_CHECK};
