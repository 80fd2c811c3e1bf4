/* c10 to c19: how large the buffer is. */
#include "check.h"

#define BASIC TCPIP_OWNER_MODULE_INFO_BASIC

/* This process by a row of each kind, and the answer. */
static answer begin(int kind, any_row *row) {
    make_row(row, kind, os_pid(), NULL);
    return answer_of(kind, row);
}

static int is_filled_with(const unsigned char *bytes, size_t size, int fill) {
    while (size-- > 0) {
        if (bytes[size] != fill)
            return 0;
    }
    return 1;
}

static void c10_null_and_0_is_122_and_the_size(void) {
    any_row row;
    int kind;
    for (kind = 0; kind < KINDS; kind++) {
        DWORD size = 0;
        make_row(&row, kind, os_pid(), NULL);
        EQUAL(ask(kind, &row, BASIC, NULL, &size), ERROR_INSUFFICIENT_BUFFER);
        CHECK(size >= sizeof(TCPIP_OWNER_MODULE_BASIC_INFO) + 4);
    }
}

static void c11_null_with_a_large_size_is_122(void) {
    const DWORD sizes[] = {1, 1024, 1u << 20, 0x7FFFFFFFu, 0xFFFFFFFFu};
    any_row row;
    size_t i;
    int kind;
    for (kind = 0; kind < KINDS; kind++) {
        answer expected = begin(kind, &row);
        for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            DWORD size = sizes[i];
            EQUAL(ask(kind, &row, BASIC, NULL, &size), ERROR_INSUFFICIENT_BUFFER);
            EQUAL(size, expected.size);
        }
        drop(&expected);
    }
}

/* 122 for a buffer of `size` bytes that ends where memory ends, nothing in it written. */
static void is_too_small(int kind, const any_row *row, DWORD size, DWORD needed) {
    unsigned char *end = os_guarded_end(size + 64, 0xA5);
    DWORD told = size;
    EQUAL(ask(kind, row, BASIC, end - size, &told), ERROR_INSUFFICIENT_BUFFER);
    EQUAL(told, needed);
    CHECK(is_filled_with(end - size - 64, size + 64, 0xA5));
}

static void c12_size_0_is_122_and_nothing_written(void) {
    any_row row;
    int kind;
    for (kind = 0; kind < KINDS; kind++) {
        answer expected = begin(kind, &row);
        is_too_small(kind, &row, 0, expected.size);
        drop(&expected);
    }
}

static void c13_sizes_below_the_struct_are_122(void) {
    any_row row;
    DWORD size;
    int kind;
    for (kind = 0; kind < KINDS; kind++) {
        answer expected = begin(kind, &row);
        for (size = 1; size <= 15; size++)
            is_too_small(kind, &row, size, expected.size);
        for (; size < 64 && size < expected.size; size++)
            is_too_small(kind, &row, size, expected.size);
        drop(&expected);
    }
}

static void c14_one_byte_less_is_122(void) {
    any_row row;
    int kind;
    for (kind = 0; kind < KINDS; kind++) {
        answer expected = begin(kind, &row);
        is_too_small(kind, &row, expected.size - 1, expected.size);
        drop(&expected);
    }
}

static void c15_the_size_needed_is_enough(void) {
    any_row row;
    int kind;
    for (kind = 0; kind < KINDS; kind++) {
        answer expected = begin(kind, &row), got;
        DWORD size = expected.size;
        unsigned char *end = os_guarded_end(size, 0xA5);
        EQUAL(ask(kind, &row, BASIC, end - size, &size), NO_ERROR);
        EQUAL(size, expected.size);
        got = taken(end - size, size);
        CHECK(is_same(&expected, &got));
        drop(&got);
        drop(&expected);
    }
}

static void c16_a_mebibyte_is_enough_and_told_what_was_used(void) {
    unsigned char *buffer = (unsigned char *)malloc(1 << 20);
    any_row row;
    int kind;
    os_must(buffer != NULL, "malloc");
    for (kind = 0; kind < KINDS; kind++) {
        answer expected = begin(kind, &row), got;
        DWORD size = 1 << 20;
        EQUAL(ask(kind, &row, BASIC, buffer, &size), NO_ERROR);
        EQUAL(size, expected.size);
        got = taken(buffer, size);
        CHECK(is_same(&expected, &got));
        drop(&got);
        drop(&expected);
    }
    free(buffer);
}

static void c17_bytes_behind_the_answer_are_intact(void) {
    unsigned char *buffer = (unsigned char *)malloc(1 << 20);
    any_row row;
    int kind;
    os_must(buffer != NULL, "malloc");
    for (kind = 0; kind < KINDS; kind++) {
        answer expected = begin(kind, &row);
        DWORD size = 1 << 20;
        memset(buffer, 0xA5, 1 << 20);
        EQUAL(ask(kind, &row, BASIC, buffer, &size), NO_ERROR);
        CHECK(is_filled_with(buffer + expected.size, (1 << 20) - expected.size, 0xA5));
        drop(&expected);
    }
    free(buffer);
}

static void c18_what_was_in_the_buffer_is_irrelevant(void) {
    const int fills[] = {0, 0xFF, 0xA5, 1};
    any_row row;
    size_t i;
    int kind;
    for (kind = 0; kind < KINDS; kind++) {
        answer expected = begin(kind, &row), got;
        unsigned char *buffer = (unsigned char *)malloc(expected.size);
        os_must(buffer != NULL, "malloc");
        for (i = 0; i < sizeof fills / sizeof *fills; i++) {
            DWORD size = expected.size;
            memset(buffer, fills[i], size);
            EQUAL(ask(kind, &row, BASIC, buffer, &size), NO_ERROR);
            got = taken(buffer, size);
            CHECK(is_same(&expected, &got));
            drop(&got);
        }
        free(buffer);
        drop(&expected);
    }
}

static void c19_the_loop_ends_after_two_rounds(void) {
    own_listener own = listen_here();
    any_row row;
    int kind, from_table;
    for (kind = 0; kind < KINDS; kind++) {
        for (from_table = 0; from_table < 2; from_table++) {
            void *buffer = NULL;
            DWORD size = 0, code;
            int rounds = 0;
            make_row(&row, kind, os_pid(), from_table ? own.row.OwningModuleInfo : NULL);
            while ((code = ask(kind, &row, BASIC, buffer, &size)) == ERROR_INSUFFICIENT_BUFFER) {
                buffer = realloc(buffer, size);
                os_must(buffer != NULL, "realloc");
                rounds++;
            }
            EQUAL(code, NO_ERROR);
            CHECK(rounds <= 2);
            free(buffer);
        }
    }
    os_close(own.socket);
}

const check sizing_group[] = {
    CHECK_OF(c10_null_and_0_is_122_and_the_size)
    CHECK_OF(c11_null_with_a_large_size_is_122)
    CHECK_OF(c12_size_0_is_122_and_nothing_written)
    CHECK_OF(c13_sizes_below_the_struct_are_122)
    CHECK_OF(c14_one_byte_less_is_122)
    CHECK_OF(c15_the_size_needed_is_enough)
    CHECK_OF(c16_a_mebibyte_is_enough_and_told_what_was_used)
    CHECK_OF(c17_bytes_behind_the_answer_are_intact)
    CHECK_OF(c18_what_was_in_the_buffer_is_irrelevant)
    CHECK_OF(c19_the_loop_ends_after_two_rounds)
    NO_CHECK};
