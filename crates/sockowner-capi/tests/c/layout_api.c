/* Our own API: the header alone, its layout, its functions' types, and the example at its top. */
#include <sockowner/sockowner.h>

#include "layout_api.h"

#include <stdio.h>
#include <string.h>

#include <sockowner/iphlpapi.h>
#include <sockowner/iphlpapi_layout.h> /* for its assertions */

#ifdef __LP64__
#define ASSERT_SIZE(s, size) SOCKOWNER_ASSERT(size_of_##s, sizeof(s) == (size))
#define ASSERT_OFFSET(s, f, offset) SOCKOWNER_ASSERT(offset_of_##s##_##f, offsetof(s, f) == (offset))
SOCKOWNER_API_LAYOUT(ASSERT_SIZE, ASSERT_OFFSET)
#endif

SOCKOWNER_ASSERT_V(SOCKOWNER_OK, 0)
SOCKOWNER_ASSERT_V(SOCKOWNER_E_INVALID_INPUT, -1)
SOCKOWNER_ASSERT_V(SOCKOWNER_E_NOT_PERMITTED, -2)
SOCKOWNER_ASSERT_V(SOCKOWNER_E_UNSUPPORTED, -3)
SOCKOWNER_ASSERT_V(SOCKOWNER_E_NOT_FOUND, -4)
SOCKOWNER_ASSERT_V(SOCKOWNER_E_CHANGED, -5)
SOCKOWNER_ASSERT_V(SOCKOWNER_E_MALFORMED, -6)
SOCKOWNER_ASSERT_V(SOCKOWNER_E_SYSTEM, -7)
SOCKOWNER_ASSERT_V(SOCKOWNER_E_INTERNAL, -8)

typedef struct api {
    int (*snapshot)(const sockowner_filter *, sockowner_result **);
    int (*who)(const char *, sockowner_result **);
    void (*free)(sockowner_result *);
    const char *(*last_error)(void);
    const char *(*version)(void);
} api;

api all(void);
api all(void) {
    api a = {sockowner_snapshot, sockowner_who, sockowner_free, sockowner_last_error, sockowner_version};
    return a;
}

int listeners(sockowner_result **out);
int listeners(sockowner_result **out) {
    sockowner_filter filter;
    memset(&filter, 0, sizeof filter);
    filter.size = sizeof filter;
    filter.flags = SOCKOWNER_LISTENING;
    return sockowner_snapshot(&filter, out);
}

int example(void);
int example(void) {
    sockowner_result *result;
    if (sockowner_who("tcp/:22", &result) != SOCKOWNER_OK) {
        fprintf(stderr, "%s\n", sockowner_last_error());
        return 1;
    }
    for (size_t i = 0; i < result->endpoint_count; i++) {
        const sockowner_endpoint *e = result->endpoints[i];
        if (e->owner != NULL)
            printf("%s:%d pid %u (%s)\n", e->local_address, e->local_port, e->owner->pid, e->evidence);
        else
            printf("%s:%d unknown: %s\n", e->local_address, e->local_port, e->reason);
        if (SOCKOWNER_HAS(sockowner_endpoint, e, changed) && e->changed != 0)
            printf("changed\n");
    }
    sockowner_free(result);
    return 0;
}
