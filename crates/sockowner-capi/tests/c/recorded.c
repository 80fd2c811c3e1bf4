/* Sockets of this program while a recorder runs, as sockowner.h tells them. The test that starts it starts the recorder
 * first. It prints what it is told, one role a line. */
#include "check.h"

#include <sockowner/sockowner.h>

static const uint64_t zeros[8] = {0};

/* Every member of a role that is there, so that a sanitizer sees what it points to. */
static void print_role(const char *kind, const sockowner_role *role, const char *reason) {
    size_t i;
    if (role == NULL) {
        printf("%s: %s\n", kind, reason == NULL ? "nobody" : reason);
        return;
    }
    CHECK(reason == NULL);
    EQUAL(role->size, sizeof *role);
    CHECK(memcmp(role->reserved, zeros, sizeof role->reserved) == 0);
    CHECK(role->name != NULL && role->comm != NULL && role->evidence != NULL);
    printf("%s: %s (%s) %s pid %u tid %u uid %u by %s%s, %s, cgroup %llu, start %llu %lld, time %lld, file %llu:%llu\n",
           kind, role->name, role->comm, role->path == NULL ? "?" : role->path, (unsigned)role->pid, (unsigned)role->tid,
           (unsigned)role->uid, role->evidence, role->implicit ? ", implicit" : "",
           role->service == NULL ? "no unit" : role->service->name, (unsigned long long)role->cgroup_id,
           (unsigned long long)role->start_ticks, (long long)role->start_time, (long long)role->time,
           (unsigned long long)role->exe_device, (unsigned long long)role->exe_inode);
    if (role->component == NULL)
        return;
    EQUAL(role->component->size, sizeof *role->component);
    CHECK(role->component->name != NULL && role->component->evidence != NULL);
    printf("%s: component %s %s build-id %s +%llx by %s%s\n", kind, role->component->name,
           role->component->path == NULL ? "?" : role->component->path,
           role->component->build_id == NULL ? "?" : role->component->build_id,
           (unsigned long long)role->component->offset, role->component->evidence,
           role->component->generated ? ", generated" : "");
    for (i = 0; i < role->component->frame_count; i++) {
        const sockowner_frame *frame = role->component->frames[i];
        EQUAL(frame->size, sizeof *frame);
        printf("%s: frame %s %s +%llx\n", kind, frame->name, frame->path == NULL ? "?" : frame->path,
               (unsigned long long)frame->offset);
    }
}

static void print_roles(const sockowner_endpoint *endpoint) {
    const sockowner_roles *roles = endpoint->roles;
    EQUAL(roles->size, sizeof *roles);
    CHECK(memcmp(roles->reserved, zeros, sizeof roles->reserved) == 0);
    printf("%s %s:%u created %lld closed %lld\n", endpoint->state, endpoint->local_address,
           (unsigned)endpoint->local_port, (long long)endpoint->created_at, (long long)endpoint->closed_at);
    print_role("creator", roles->creator, roles->creator_reason);
    print_role("binder", roles->binder, roles->binder_reason);
    print_role("listener", roles->listener, roles->listener_reason);
    print_role("acceptor", roles->acceptor, roles->acceptor_reason);
}

/* It was this program, in this way. */
static void is_own(const sockowner_role *role, const char *evidence) {
    char path[8192];
    os_own_path(path, sizeof path);
    CHECK(role != NULL);
    EQUAL(role->pid, os_pid());
    EQUAL(role->uid, geteuid());
    CHECK(strcmp(role->evidence, evidence) == 0);
    CHECK(role->path != NULL && strcmp(role->path, path) == 0);
    CHECK(strcmp(role->name, strrchr(path, '/') + 1) == 0);
    CHECK(role->start_ticks != 0 && role->start_time != 0 && role->exe_inode != 0 && role->cgroup_id != 0);
    EQUAL(role->deleted, 0);
    EQUAL(role->kernel_thread, 0);
    /* Who inherits a role made no call. */
    EQUAL(role->time != 0, strcmp(evidence, "inherited") != 0);
}

/* Prints the one answer about this endpoint. */
static sockowner_result *told(const char *format, unsigned port, unsigned peer) {
    sockowner_result *result = NULL;
    char text[64];
    snprintf(text, sizeof text, format, port, peer);
    EQUAL(sockowner_who(text, &result), SOCKOWNER_OK);
    EQUAL(result->endpoint_count, 1);
    print_roles(result->endpoints[0]);
    return result;
}

static void a_listener(os_socket listener) {
    sockowner_result *result = told("tcp/127.0.0.1:%u", os_port(listener), 0);
    const sockowner_endpoint *endpoint = result->endpoints[0];
    const sockowner_roles *roles = endpoint->roles;
    is_own(roles->creator, "call");
    is_own(roles->binder, "call");
    is_own(roles->listener, "call");
    CHECK(roles->acceptor == NULL && roles->acceptor_reason == NULL);
    CHECK(endpoint->created_at != 0 && endpoint->created_at <= roles->binder->time);
    CHECK(roles->binder->time <= roles->listener->time);
    EQUAL(roles->binder->implicit, 0);
    EQUAL(endpoint->closed_at, 0);
    EQUAL(roles->binder->start_ticks, endpoint->owner->start_ticks);
    sockowner_free(result);
}

static void a_connection(os_socket listener) {
    os_socket client = os_connect(0, os_port(listener)), server;
    os_address peer;
    socklen_t length = sizeof peer;
    sockowner_result *result;
    const sockowner_roles *roles;
    server = accept(listener, &peer.any, &length);
    os_must(server >= 0, "accept");
    result = told("tcp/127.0.0.1:%u,127.0.0.1:%u", os_port(client), os_port(listener));
    roles = result->endpoints[0]->roles;
    is_own(roles->binder, "call");
    EQUAL(roles->binder->implicit, 1);
    CHECK(roles->listener == NULL && roles->acceptor == NULL);
    sockowner_free(result);
    result = told("tcp/127.0.0.1:%u,127.0.0.1:%u", os_port(listener), os_port(client));
    roles = result->endpoints[0]->roles;
    is_own(roles->acceptor, "call");
    is_own(roles->listener, "inherited");
    is_own(roles->creator, "inherited");
    CHECK(result->endpoints[0]->created_at != 0);
    sockowner_free(result);
    os_close(os_without_lingering(client));
    os_close(server);
}

/* Two results, one freed: the other is whole. And a snapshot has what an explanation has. */
static void a_snapshot(os_socket listener) {
    sockowner_filter filter;
    sockowner_result *one, *other;
    memset(&filter, 0, sizeof filter);
    filter.size = sizeof filter;
    filter.pid = os_pid();
    filter.state = "LISTEN";
    EQUAL(sockowner_snapshot(&filter, &one), SOCKOWNER_OK);
    EQUAL(sockowner_snapshot(&filter, &other), SOCKOWNER_OK);
    EQUAL(one->endpoint_count, 1);
    sockowner_free(one);
    print_roles(other->endpoints[0]);
    is_own(other->endpoints[0]->roles->binder, "call");
    EQUAL(other->endpoints[0]->local_port, os_port(listener));
    sockowner_free(other);
}

int main(void) {
    os_socket listener = os_listen(0);
    a_listener(listener);
    a_connection(listener);
    a_snapshot(listener);
    os_close(listener);
    return 0;
}
