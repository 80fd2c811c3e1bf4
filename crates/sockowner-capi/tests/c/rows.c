/* Rows of random bytes, buffers of all sizes at all addresses: every answer is one of the contract's, and nothing is
 * written but what the contract says. */
#include "check.h"

enum { ROOM = 8192 };

/* A pid worth asking about. */
static DWORD some_pid(uint64_t *random) {
    switch (next_random(random) % 8) {
    case 0: return os_pid();
    case 1: return 0;
    case 2: return 1;
    case 3: return 2;
    case 4: return next_random(random) % 1024;
    case 5: return next_random(random) % 65536;
    case 6: return 0x80000000u | next_random(random);
    default: return next_random(random);
    }
}

static void random_row(any_row *row, int kind, const own_listener *own, uint64_t *random) {
    ULONGLONG info[TCPIP_OWNING_MODULE_SIZE];
    size_t i;
    switch (next_random(random) % 4) {
    case 0: /* nothing but noise */
        for (i = 0; i < sizeof row->bytes; i++)
            row->bytes[i] = (unsigned char)next_random(random);
        return;
    case 1: /* made by hand */
        make_row(row, kind, some_pid(random), NULL);
        return;
    case 2: /* of this process or pretending to be */
        make_row(row, kind, next_random(random) % 2 ? os_pid() : some_pid(random), own->row.OwningModuleInfo);
        return;
    default: /* with a bit that is wrong */
        memcpy(info, own->row.OwningModuleInfo, sizeof info);
        info[next_random(random) % TCPIP_OWNING_MODULE_SIZE] ^= 1ull << next_random(random) % 64;
        make_row(row, kind, next_random(random) % 2 ? os_pid() : some_pid(random), info);
    }
}

static DWORD random_size(DWORD needed, uint64_t *random) {
    switch (next_random(random) % 4) {
    case 0: return next_random(random) % 16;
    case 1: return needed - next_random(random) % 2;
    case 2: return needed + next_random(random) % 16;
    default: return next_random(random) % ROOM;
    }
}

static int is_as_before(const unsigned char *bytes, size_t size) {
    while (size-- > 0) {
        if (bytes[size] != 0xA5)
            return 0;
    }
    return 1;
}

static void rows_of_random_bytes_do_no_harm(void) {
    unsigned char *end = os_guarded_end(ROOM, 0xA5), *row_end = os_guarded_end(sizeof(any_row), 0);
    unsigned char *size_at = os_guarded_end(sizeof(DWORD), 0) - sizeof(DWORD);
    own_listener own = listen_here();
    answer mine = answer_of(TCP, &own.row);
    DWORD needed = mine.size;
    unsigned left = scaled(OS_ROWS), filled = 0;
    uint64_t random = 20;
    drop(&mine);
    CHECK(needed + 16 < ROOM);
    while (left-- > 0) {
        int kind = (int)(next_random(&random) % KINDS);
        int info_class = next_random(&random) % 16 == 0 ? (int)next_random(&random) : TCPIP_OWNER_MODULE_INFO_BASIC;
        int is_null = next_random(&random) % 16 == 0;
        DWORD size = random_size(needed, &random), told = size, code;
        unsigned char *buffer = end - size, *row_at = row_end - row_size(kind);
        any_row row;
        random_row(&row, kind, &own, &random);
        memcpy(row_at, &row, row_size(kind));
        memcpy(size_at, &size, sizeof size);
        code = ask(kind, row_at, info_class, is_null ? NULL : buffer, (DWORD *)(void *)size_at);
        memcpy(&told, size_at, sizeof told);
        switch (code) {
        case NO_ERROR: {
            answer got;
            CHECK(!is_null && told <= size && info_class == TCPIP_OWNER_MODULE_INFO_BASIC);
            got = taken(buffer, told);
            drop(&got);
            CHECK(is_as_before(buffer + told, size - told));
            memset(buffer, 0xA5, told);
            filled++;
            break;
        }
        case ERROR_INSUFFICIENT_BUFFER:
            CHECK(is_null || told > size);
            CHECK(told >= sizeof(TCPIP_OWNER_MODULE_BASIC_INFO) + 4);
            break;
        case ERROR_INVALID_PARAMETER:
            EQUAL(info_class == TCPIP_OWNER_MODULE_INFO_BASIC, 0);
            EQUAL(told, size);
            break;
        default:
            CHECK(code == ERROR_NOT_FOUND || code == ERROR_PARTIAL_COPY);
            EQUAL(told, size);
        }
        CHECK(is_as_before(end - ROOM, ROOM));
        EQUAL(memcmp(row_at, &row, row_size(kind)), 0);
    }
    CHECK(filled > 0);
    os_close(own.socket);
}

const check rows_group[] = {CHECK_OF(rows_of_random_bytes_do_no_harm) NO_CHECK};
