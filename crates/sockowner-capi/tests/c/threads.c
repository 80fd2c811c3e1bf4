/* c39: many threads at once. 16 of them make 2,000 calls each, with SOCKOWNER_FULL 100,000. */
#include "check.h"

enum { THREADS = 16 };

/* What each thread does, and how it went. */
typedef struct work {
    const own_listener *own;
    const answer *expected;
    unsigned calls;
    int looks;
    unsigned wrong;
} work;

static void call(void *argument) {
    work *given = (work *)argument;
    size_t start = sizeof(TCPIP_OWNER_MODULE_BASIC_INFO);
    unsigned char buffer[16384];
    unsigned i;
    for (i = 0; i < given->calls; i++) {
        MIB_TCPROW_OWNER_MODULE row = given->own->row;
        DWORD size = i % 2 == 0 ? sizeof buffer : given->expected->size - 1;
        DWORD code = GetOwnerModuleFromTcpEntry(&row, TCPIP_OWNER_MODULE_INFO_BASIC, buffer, &size);
        given->wrong += size != given->expected->size;
        if (i % 2 != 0) {
            given->wrong += code != ERROR_INSUFFICIENT_BUFFER;
            continue;
        }
        given->wrong += code != NO_ERROR;
        given->wrong += memcmp(buffer + start, given->expected->bytes + start, given->expected->size - start) != 0;
        if (given->looks && i % 8192 == 0) { /* which looks into every process of the machine */
            int found = find_listener(ntohs((uint16_t)row.dwLocalPort), &row);
            size_t told = offsetof(MIB_TCPROW_OWNER_MODULE, OwningModuleInfo); /* that is opaque, and may change */
            given->wrong += !found || memcmp(&row, &given->own->row, told) != 0;
            size = sizeof buffer;
            code = GetOwnerModuleFromTcpEntry(&row, TCPIP_OWNER_MODULE_INFO_BASIC, buffer, &size);
            given->wrong += code != NO_ERROR || size != given->expected->size;
        }
    }
}

/* One round in all threads. */
static void run(const own_listener *own, const answer *expected, unsigned calls) {
    os_thread threads_of[THREADS];
    work given[THREADS];
    int i;
    for (i = 0; i < THREADS; i++) {
        given[i].own = own;
        given[i].expected = expected;
        given[i].calls = calls;
#ifdef _WIN32
        given[i].looks = i == 0; /* under Wine one waits for the others, and for ten seconds at most */
#else
        given[i].looks = 1;
#endif
        given[i].wrong = 0;
        os_start(&threads_of[i], call, &given[i]);
    }
    for (i = 0; i < THREADS; i++) {
        os_join(&threads_of[i]);
        EQUAL(given[i].wrong, 0);
    }
}

static void c39_sixteen_threads_agree(void) {
    unsigned calls = scaled(getenv("SOCKOWNER_FULL") != NULL ? 100000 : 2000), handles;
    own_listener own = listen_here();
    answer expected = answer_of(TCP, &own.row);
    long memory;
    CHECK(expected.size <= 16384);
    /* What each thread needs, and what is read but once, is there after the first round. */
    run(&own, &expected, calls / 10 + 1);
    handles = os_handles();
    memory = os_memory();
    run(&own, &expected, calls);
    EQUAL(os_handles(), handles);
    printf("%u calls in each of %d threads, %ld KiB more\n", calls, THREADS, os_memory() - memory);
    CHECK(getenv("SOCKOWNER_SCALE") != NULL || os_memory() - memory < 4096);
    drop(&expected);
    os_close(own.socket);
}

const check threads_group[] = {ALONE(c39_sixteen_threads_agree) NO_CHECK};
