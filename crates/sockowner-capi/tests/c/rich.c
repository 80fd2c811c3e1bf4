/* Our own API (sockowner.h). What the program's arguments are, check.h says; VERSION is the library's, as its manifest
 * has it. */
#include "check.h"

#include <sockowner/sockowner.h>

static sockowner_filter no_filter(void) {
    sockowner_filter filter;
    memset(&filter, 0, sizeof filter);
    filter.size = sizeof filter;
    return filter;
}

static sockowner_result *found(const sockowner_filter *filter) {
    sockowner_result *result = NULL;
    EQUAL(sockowner_snapshot(filter, &result), SOCKOWNER_OK);
    CHECK(result != NULL);
    CHECK(strcmp(sockowner_last_error(), "") == 0);
    return result;
}

/* The one answer about this endpoint. */
static sockowner_result *who(const char *format, unsigned port) {
    sockowner_result *result = NULL;
    char text[64];
    snprintf(text, sizeof text, format, port);
    EQUAL(sockowner_who(text, &result), SOCKOWNER_OK);
    CHECK(result != NULL);
    EQUAL(result->endpoint_count, 1);
    return result;
}

/* Refused, with a reason that names what is wrong. */
static void is_refused(const sockowner_filter *filter, const char *why) {
    sockowner_result *result = (sockowner_result *)(uintptr_t)1;
    EQUAL(sockowner_snapshot(filter, &result), SOCKOWNER_E_INVALID_INPUT);
    CHECK(result == NULL);
    if (strstr(sockowner_last_error(), why) == NULL)
        failed(why, 0, sockowner_last_error());
}

static void an_own_listener_is_told_with_all_there_is(void) {
    os_socket listener = os_listen(0);
    char path[8192];
    sockowner_result *result = who("127.0.0.1:%u", os_port(listener));
    const sockowner_endpoint *endpoint = result->endpoints[0];
    const sockowner_process *owner = endpoint->owner;
    int is_recorded = endpoint->evidence != NULL && strcmp(endpoint->evidence, "recorded") == 0;
    os_own_path(path, sizeof path);
    CHECK(strcmp(endpoint->protocol, "tcp") == 0 && strcmp(endpoint->family, "ipv4") == 0);
    CHECK(strcmp(endpoint->state, "LISTEN") == 0 && strcmp(endpoint->local_address, "127.0.0.1") == 0);
    CHECK(endpoint->remote_address == NULL && endpoint->remote_port == 0);
    CHECK(memcmp(endpoint->local_bytes, "\177\0\0\1\0\0\0\0\0\0\0\0\0\0\0", 16) == 0);
    EQUAL(endpoint->local_port, os_port(listener));
    CHECK(strcmp(endpoint->match, "exact") == 0);
    CHECK(endpoint->reason == NULL && endpoint->candidate_count == 0);
    CHECK(owner != NULL);
#ifdef _WIN32 /* the system notes who bound, but Wine, where handles are looked at */
    CHECK(is_recorded || strcmp(endpoint->evidence, "holder") == 0);
    EQUAL(endpoint->holder_count, is_recorded ? 0 : 1);
#else
    EQUAL(endpoint->uid, getuid());
    CHECK(endpoint->inode != 0 && endpoint->netns != 0 && endpoint->cookie != 0);
    CHECK(!is_recorded && strcmp(endpoint->evidence, "holder") == 0);
    EQUAL(endpoint->holder_count, 1);
    EQUAL(owner->uid, geteuid());
    CHECK(owner->exe_inode != 0);
#endif
    if (endpoint->holder_count == 1) {
        EQUAL(endpoint->holders[0]->fd, listener);
        EQUAL(endpoint->holders[0]->tid, os_pid());
        CHECK(endpoint->holders[0]->process == owner);
    }
    EQUAL(owner->pid, os_pid());
    EQUAL(owner->exited, 0);
    CHECK(strcmp(owner->path, path) == 0 && strcmp(owner->name, os_base_name(path)) == 0);
    CHECK(owner->comm[0] != 0 && owner->start_ticks != 0 && owner->start_time != 0);
    sockowner_free(result);
    os_close(listener);
}

static void a_wildcard_listener_serves_an_address(void) {
    os_socket listener = socket(AF_INET6, SOCK_STREAM, 0);
    os_address any;
    sockowner_result *result;
    memset(&any, 0, sizeof any);
    any.v6.sin6_family = AF_INET6;
    os_must(bind(listener, &any.any, sizeof any.v6) == 0 && listen(listener, 1) == 0, "listen");
    result = who("127.0.0.1:%u", os_port(listener));
    CHECK(strcmp(result->endpoints[0]->match, "wildcard") == 0);
    CHECK(strcmp(result->endpoints[0]->local_address, "::") == 0);
    EQUAL(result->endpoints[0]->owner->pid, os_pid());
    sockowner_free(result);
    os_close(listener);
}

static void sizes_are_those_of_the_header_and_reserved_members_0(void) {
    const uint64_t zeros[8] = {0};
    os_socket listener = os_listen(0);
    sockowner_filter filter = no_filter();
    sockowner_result *result;
    const sockowner_endpoint *endpoint;
    filter.pid = os_pid();
    result = found(&filter);
    EQUAL(result->size, sizeof *result);
    EQUAL(result->endpoint_count, 1);
    CHECK(memcmp(result->reserved, zeros, sizeof result->reserved) == 0);
    endpoint = result->endpoints[0];
    EQUAL(endpoint->size, sizeof *endpoint);
    EQUAL(endpoint->reserved32, 0);
    EQUAL(endpoint->roles->size, sizeof *endpoint->roles);
    CHECK(memcmp(endpoint->roles->reserved, zeros, sizeof endpoint->roles->reserved) == 0);
    CHECK(SOCKOWNER_HAS(sockowner_endpoint, endpoint, roles));
    CHECK(memcmp(endpoint->reserved, zeros, sizeof endpoint->reserved) == 0);
    EQUAL(endpoint->owner->size, sizeof *endpoint->owner);
    CHECK(memcmp(endpoint->owner->reserved, zeros, sizeof endpoint->owner->reserved) == 0);
    EQUAL(endpoint->holders[0]->size, sizeof *endpoint->holders[0]);
    CHECK(memcmp(endpoint->holders[0]->reserved, zeros, sizeof endpoint->holders[0]->reserved) == 0);
    CHECK(SOCKOWNER_HAS(sockowner_endpoint, endpoint, reserved));
    CHECK(SOCKOWNER_HAS(sockowner_result, result, gaps));
    sockowner_free(result);
    os_close(listener);
}

static void a_filter_takes_what_it_says(void) {
    os_socket listener = os_listen(0), client = os_connect(0, os_port(listener)), datagrams = os_bind(1, SOCK_DGRAM);
    sockowner_filter filter = no_filter();
    sockowner_result *result;
    char path[8192];
    size_t i;
    os_own_path(path, sizeof path);
    filter.executable = path;
    result = found(&filter);
    EQUAL(result->endpoint_count, 3);
    CHECK(strcmp(result->endpoints[0]->state, "LISTEN") == 0);
    for (i = 0; i < result->endpoint_count; i++)
        EQUAL(result->endpoints[i]->owner->pid, os_pid());
    sockowner_free(result);
    filter.protocol = "udp";
    filter.family = "ipv6";
    result = found(&filter);
    EQUAL(result->endpoint_count, 1);
    EQUAL(result->endpoints[0]->local_port, os_port(datagrams));
    sockowner_free(result);
    filter.family = "ipv4";
    result = found(&filter);
    EQUAL(result->endpoint_count, 0);
    sockowner_free(result);
    filter = no_filter();
    filter.pid = os_pid();
    filter.state = "estAblished";
    result = found(&filter);
    EQUAL(result->endpoint_count, 1);
    EQUAL(result->endpoints[0]->remote_port, os_port(listener));
    sockowner_free(result);
    filter.state = NULL;
    filter.flags = SOCKOWNER_LISTENING;
    result = found(&filter);
    EQUAL(result->endpoint_count, 2);
    sockowner_free(result);
    os_close(client);
    os_close(datagrams);
    os_close(listener);
}

static void without_owners_there_is_neither_owner_nor_reason(void) {
    os_socket listener = os_listen(0);
    sockowner_filter filter = no_filter();
    sockowner_result *result;
    size_t i;
    filter.flags = SOCKOWNER_NO_OWNERS;
    result = found(&filter);
    CHECK(result->endpoint_count >= 1);
    for (i = 0; i < result->endpoint_count; i++) {
        CHECK(result->endpoints[i]->owner == NULL && result->endpoints[i]->reason == NULL);
        CHECK(result->endpoints[i]->evidence == NULL && result->endpoints[i]->holder_count == 0);
        CHECK(result->endpoints[i]->roles != NULL && result->endpoints[i]->roles->creator == NULL);
        CHECK(result->endpoints[i]->roles->creator_reason == NULL && result->endpoints[i]->created_at == 0);
    }
    sockowner_free(result);
    os_close(listener);
}

/* A filter of each size, at the end of memory: what it lacks is zero, and nothing behind it is read. */
static void a_shorter_filter_is_extended_by_zeros(void) {
    os_socket listener = os_listen(0);
    sockowner_filter filter = no_filter();
    size_t size;
    filter.pid = os_pid();
    for (size = sizeof filter.size; size <= sizeof filter; size++) {
        unsigned char *end = os_guarded_end(size, 0);
        sockowner_result *result;
        filter.size = size;
        filter.flags = size > offsetof(sockowner_filter, flags) ? 0 : SOCKOWNER_NO_OWNERS;
        memcpy(end - size, &filter, size);
        /* A part of a pid is another pid. */
        if (size > offsetof(sockowner_filter, pid) && size < offsetof(sockowner_filter, flags))
            memset(end - size + offsetof(sockowner_filter, pid), 0, size - offsetof(sockowner_filter, pid));
        result = found((const sockowner_filter *)(void *)(end - size));
        CHECK(result->endpoint_count >= 1);
        if (size >= offsetof(sockowner_filter, flags))
            EQUAL(result->endpoint_count, 1);
        sockowner_free(result);
    }
    os_close(listener);
}

static void a_longer_filter_is_taken_if_its_tail_is_0(void) {
    os_socket listener = os_listen(0);
    struct {
        sockowner_filter filter;
        unsigned char newer[64];
    } longer;
    sockowner_result *result;
    memset(&longer, 0, sizeof longer);
    longer.filter.size = sizeof longer;
    longer.filter.pid = os_pid();
    result = found(&longer.filter);
    EQUAL(result->endpoint_count, 1);
    sockowner_free(result);
    longer.newer[63] = 1;
    is_refused(&longer.filter, "does not know");
    longer.filter.size--;
    sockowner_free(found(&longer.filter));
    os_close(listener);
}

static void a_filter_that_makes_no_sense_is_refused(void) {
    sockowner_filter filter = no_filter();
    size_t i;
    static const size_t sizes[] = {0, 1, 7, 65537, (size_t)-1};
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        filter.size = sizes[i];
        is_refused(&filter, "its size is");
    }
#define REFUSED(member, value, why) \
    filter = no_filter(); \
    filter.member = value; \
    is_refused(&filter, why)
    REFUSED(reserved[0], 1, "does not know");
    REFUSED(reserved[3], 1, "does not know");
    REFUSED(flags, 4, "does not know");
    REFUSED(flags, 0x80000000u, "does not know");
    REFUSED(protocol, "sctp", "protocol");
    REFUSED(protocol, "TCP", "protocol");
    REFUSED(protocol, "", "read the protocol: it is empty");
    REFUSED(family, "ipx", "family");
    REFUSED(family, "", "read the family: it is empty");
    REFUSED(state, "nowhere", "nowhere");
    REFUSED(state, "", "read the state: it is empty");
    REFUSED(user, "", "read the user: it is empty");
    REFUSED(unit, "", "read the unit: it is empty");
    REFUSED(container, "", "read the container: it is empty");
    REFUSED(executable, "", "read the executable: it is empty");
    REFUSED(user, "\xFF", "UTF-8");
    REFUSED(protocol, "\xFF\xFE", "UTF-8");
    filter = no_filter();
    filter.flags = SOCKOWNER_LISTENING;
    filter.state = "LISTEN";
    is_refused(&filter, "LISTENING");
    filter = no_filter();
    filter.flags = SOCKOWNER_NO_OWNERS;
    filter.pid = 1;
    is_refused(&filter, "NO_OWNERS");
    filter.pid = 0;
    filter.executable = "sh";
    is_refused(&filter, "NO_OWNERS");
    filter.flags = 0;
    filter.executable = "\xFF\xFE";
#ifdef _WIN32
    is_refused(&filter, "read the executable: it is not UTF-8");
#else /* an executable is bytes */
    sockowner_free(found(&filter));
#endif
}

static void an_endpoint_that_is_none_is_refused(void) {
    static const char *const texts[] = {"", "nonsense", "127.0.0.1:99999", "\xFF", ":", "sctp/:1"};
    sockowner_result *result;
    size_t i;
    for (i = 0; i < sizeof texts / sizeof *texts; i++) {
        result = (sockowner_result *)(uintptr_t)1;
        EQUAL(sockowner_who(texts[i], &result), SOCKOWNER_E_INVALID_INPUT);
        CHECK(result == NULL && sockowner_last_error()[0] != 0);
        CHECK(strstr(sockowner_last_error(), "filter") == NULL);
    }
    result = (sockowner_result *)(uintptr_t)1;
    EQUAL(sockowner_who(NULL, &result), SOCKOWNER_E_INVALID_INPUT);
    CHECK(result == NULL && strstr(sockowner_last_error(), "NULL") != NULL);
    EQUAL(sockowner_who(":1", NULL), SOCKOWNER_E_INVALID_INPUT);
    CHECK(strstr(sockowner_last_error(), "NULL") != NULL);
    EQUAL(sockowner_snapshot(NULL, NULL), SOCKOWNER_E_INVALID_INPUT);
    CHECK(strstr(sockowner_last_error(), "NULL") != NULL);
}

static void nothing_found_is_success(void) {
    os_socket listener = os_listen(0);
    unsigned port = os_port(listener);
    sockowner_result *result;
    char text[32];
    os_close(listener);
    snprintf(text, sizeof text, "127.0.0.1:%u", port);
    EQUAL(sockowner_who(text, &result), SOCKOWNER_OK);
    EQUAL(result->endpoint_count, 0);
    CHECK(strcmp(sockowner_last_error(), "") == 0);
    sockowner_free(result);
}

static void the_version_is_the_manifests_and_null_is_freed(void) {
    CHECK(strcmp(sockowner_version(), VERSION) == 0);
    sockowner_free(NULL);
}

static void free_there(void *result) {
    /* No request of this thread has failed. */
    CHECK(strcmp(sockowner_last_error(), "") == 0);
    EQUAL(sockowner_who("elsewhere", NULL), SOCKOWNER_E_INVALID_INPUT);
    sockowner_free((sockowner_result *)result);
}

static void errors_are_the_threads_and_results_nobodys(void) {
    os_socket listener = os_listen(0);
    sockowner_result *result = who("127.0.0.1:%u", os_port(listener)), *none;
    os_thread thread;
    EQUAL(sockowner_who("here", &none), SOCKOWNER_E_INVALID_INPUT);
    os_start(&thread, free_there, result);
    os_join(&thread);
    CHECK(strstr(sockowner_last_error(), "here") != NULL);
    os_close(listener);
}

#ifndef _WIN32
static pthread_key_t at_the_end;

static void ask_at_the_end(void *result) {
    EQUAL(sockowner_who("nonsense", (sockowner_result **)result), SOCKOWNER_E_INVALID_INPUT);
    EQUAL(sockowner_who("127.0.0.1:1", (sockowner_result **)result), SOCKOWNER_OK);
    CHECK(strcmp(sockowner_last_error(), "") == 0);
}

static void ask_now_and_at_the_end(void *result) {
    EQUAL(sockowner_who("nonsense", (sockowner_result **)result), SOCKOWNER_E_INVALID_INPUT);
    EQUAL(pthread_setspecific(at_the_end, result), 0);
}

/* The library's own thread-locals are gone when the destructors of pthread keys run. */
static void a_thread_that_is_ending_may_ask(void) {
    sockowner_result *result = NULL;
    os_thread thread;
    EQUAL(pthread_key_create(&at_the_end, ask_at_the_end), 0);
    os_start(&thread, ask_now_and_at_the_end, &result);
    os_join(&thread);
    CHECK(result != NULL);
    sockowner_free(result);
    EQUAL(pthread_key_delete(at_the_end), 0);
}
#endif

static void ask_again_and_again(void *port) {
    unsigned calls = scaled(OS_QUERIES), i;
    for (i = 0; i < calls; i++) {
        sockowner_result *result = who("127.0.0.1:%u", *(const unsigned *)port);
        EQUAL(result->endpoints[0]->owner->pid, os_pid());
        sockowner_free(result);
    }
}

#ifdef _WIN32
enum { ASKING = 3 }; /* under Wine one waits for the others, and for ten seconds at most */
#else
enum { ASKING = 8 };
#endif

static void threads_agree_and_nothing_stays(void) {
    os_socket listener = os_listen(0);
    unsigned port = os_port(listener), handles;
    os_thread threads[ASKING];
    int i;
    ask_again_and_again(&port);
    handles = os_handles();
    for (i = 0; i < ASKING; i++)
        os_start(&threads[i], ask_again_and_again, &port);
    for (i = 0; i < ASKING; i++)
        os_join(&threads[i]);
    EQUAL(os_handles(), handles);
    os_close(listener);
}

static const check rich_group[] = {
    CHECK_OF(an_own_listener_is_told_with_all_there_is)
    CHECK_OF(a_wildcard_listener_serves_an_address)
    CHECK_OF(sizes_are_those_of_the_header_and_reserved_members_0)
    ALONE(a_filter_takes_what_it_says)
    CHECK_OF(without_owners_there_is_neither_owner_nor_reason)
    CHECK_OF(a_shorter_filter_is_extended_by_zeros)
    CHECK_OF(a_longer_filter_is_taken_if_its_tail_is_0)
    CHECK_OF(a_filter_that_makes_no_sense_is_refused)
    CHECK_OF(an_endpoint_that_is_none_is_refused)
    CHECK_OF(nothing_found_is_success)
    CHECK_OF(the_version_is_the_manifests_and_null_is_freed)
    CHECK_OF(errors_are_the_threads_and_results_nobodys)
#ifndef _WIN32
    CHECK_OF(a_thread_that_is_ending_may_ask)
#endif
    CHECK_OF(threads_agree_and_nothing_stays)
    NO_CHECK};

int main(int argc, char **argv) {
    const check *groups[2];
    groups[0] = rich_group;
    groups[1] = NULL;
    return run_checks(argc, argv, groups);
}
