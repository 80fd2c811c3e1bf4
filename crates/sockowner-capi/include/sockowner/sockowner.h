/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * sockowner: who owns this socket? Every TCP and UDP endpoint with the processes that hold it, the service and the
 * container it was made in, who made it and when where that is recorded, how that is known, and what is not known. C99 and later, C++11 and later; -lsockowner.
 *
 *     sockowner_result *result;
 *     if (sockowner_who("tcp/:22", &result) != SOCKOWNER_OK) {
 *         fprintf(stderr, "%s\n", sockowner_last_error());
 *         return 1;
 *     }
 *     for (size_t i = 0; i < result->endpoint_count; i++) {
 *         const sockowner_endpoint *e = result->endpoints[i];
 *         if (e->owner != NULL)
 *             printf("%s:%d pid %u (%s)\n", e->local_address, e->local_port, e->owner->pid, e->evidence);
 *         else
 *             printf("%s:%d unknown: %s\n", e->local_address, e->local_port, e->reason);
 *     }
 *     sockowner_free(result);
 *
 * OWNERSHIP
 *   - A result, and all that can be reached from it, belongs to the library, is read-only, and never changes. It
 *     lives until sockowner_free, which frees the whole of it; nothing in it is freed singly. Structures and strings
 *     may be shared within one result, never between two.
 *   - What is passed in stays the caller's, and is not kept after the call. NULL, where it is not said to be allowed,
 *     is SOCKOWNER_E_INVALID_INPUT.
 *   - The text of sockowner_last_error belongs to the library and lives until the next sockowner_snapshot or
 *     sockowner_who in the same thread, or that thread's end. The text of sockowner_version lives for ever.
 *
 * THREADS
 *   - Every function may be called from any thread at any time. No state is shared but the last error, which each
 *     thread has for itself. Not for signal handlers.
 *   - A result may be read by many threads at once and freed by any of them, once, when no other reads it any more.
 *   - A call speaks of the calling thread's network namespace, and of pids in its pid namespace.
 *   - The library prints nothing, reads no environment, starts no thread that outlives the call. A fault of its own
 *     (SOCKOWNER_E_INTERNAL) is the exception: Rust reports it on stderr, as RUST_BACKTRACE says.
 *
 * ABSENCE
 *   - A pointer to a string or structure is NULL where there is none or it is not known, unless it says "always";
 *     numbers name the value that means so. An array of no elements may be NULL.
 *   - An endpoint has an owner, or a reason why it has none. "gaps" lists what could not be read at all: without
 *     looking there, absence of an endpoint or of a holder proves nothing.
 *
 * TEXT is NUL-terminated. Words of ours, addresses and names of users, units and containers are UTF-8. What comes
 * from file names or from a process itself is bytes as the system has them, marked "bytes" below; it may hold
 * anything, control characters too, so escape it before a terminal sees it. The words (tcp, LISTEN, holder, ...) are
 * those of the program's JSON; new ones may come, so have a default case.
 *
 * WINDOWS. sockowner.dll has the same functions; with mingw link -lsockowner. Bytes are UTF-8 there, with U+FFFD for what
 * is no UTF-16, and a filter's executable has to be UTF-8. A holder's fd is the value of its handle, -1 where
 * that is not known; its tid is the pid. start_ticks are a FILETIME: 100 ns since 1601. Users, inodes, cookies, cgroups
 * and containers are not known.
 *
 * GROWTH. New members take the place of reserved ones or follow at the end. "size" is a structure's size as whoever
 * made it knows it. In what the caller passes, members beyond its size are taken as zero, and a part that the library
 * does not know must be zero. In results, reserved members are zero, and arrays are arrays of pointers: never use
 * sizeof(structure) to step. A program built with a newer header than the library's asks SOCKOWNER_HAS first.
 */
#ifndef SOCKOWNER_H
#define SOCKOWNER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The library that made *object knows this member. */
#define SOCKOWNER_HAS(type, object, member) \
    (offsetof(type, member) + sizeof((object)->member) <= (object)->size)

/* ---- What functions return: 0, or what went wrong. More may come, all negative. -------------------------------- */

#define SOCKOWNER_OK 0
#define SOCKOWNER_E_INVALID_INPUT (-1) /* the caller's input does not have the form it should */
#define SOCKOWNER_E_NOT_PERMITTED (-2) /* the system refuses the request to this caller */
#define SOCKOWNER_E_UNSUPPORTED (-3)   /* this system has no such thing */
#define SOCKOWNER_E_NOT_FOUND (-4)     /* what was asked about is not there (any more) */
#define SOCKOWNER_E_CHANGED (-5)       /* it changed at every try to read it */
#define SOCKOWNER_E_MALFORMED (-6)     /* the system's answer does not have the form it should */
#define SOCKOWNER_E_SYSTEM (-7)        /* any other failure of the system, memory included */
#define SOCKOWNER_E_INTERNAL (-8)      /* a fault of the library */

/* ---- What to ask for ------------------------------------------------------------------------------------------- */

#define SOCKOWNER_LISTENING 1u /* what waits for others: listeners, UDP sockets without a peer; not with "state" */
#define SOCKOWNER_NO_OWNERS 2u /* the endpoints alone, no process is looked at; not with "pid" or "executable" */

/* Which endpoints a snapshot is to hold; all that is set must be met, zero and NULL are "any". Empty strings, words
 * and flags that are not known, and what cannot go together are SOCKOWNER_E_INVALID_INPUT.
 * Begin with: sockowner_filter filter; memset(&filter, 0, sizeof filter); filter.size = sizeof filter; */
typedef struct sockowner_filter {
    size_t size;
    const char *protocol;   /* "tcp", "udp", "mptcp" */
    const char *family;     /* "ipv4", "ipv6" */
    const char *state;      /* a word of sockowner_endpoint.state, in any case */
    const char *user;       /* the socket's or a holder's, name or number */
    const char *unit;       /* "ssh" or "ssh.service"; of any manager: see sockowner_service.manager */
    const char *container;  /* begin of a container's id or a pod's uid */
    const char *executable; /* bytes: a path or a base name that a holder runs */
    uint32_t pid;           /* a holder's */
    uint32_t flags;         /* SOCKOWNER_LISTENING, SOCKOWNER_NO_OWNERS */
    uint64_t reserved[4];   /* 0 */
} sockowner_filter;

/* ---- What is answered ------------------------------------------------------------------------------------------ */

#define SOCKOWNER_NO_UID UINT32_MAX /* no user is known; never root by default */

/* A systemd unit of type service. */
typedef struct sockowner_service {
    size_t size;
    const char *name;    /* always; with its suffix */
    const char *kind;    /* always: "unit" */
    const char *manager; /* always: "system", "user", "container". Only the system's names are the administrator's */
    uint32_t uid;        /* whose manager it is, for "user"; else SOCKOWNER_NO_UID */
    uint32_t reserved32;
    uint64_t reserved[2];
} sockowner_service;

/* A container, or a pod's. */
typedef struct sockowner_container {
    size_t size;
    const char *runtime; /* always */
    const char *id;      /* always; whole */
    const char *pod;     /* the pod's uid */
    const char *manager; /* who gave the name: "system", "user" (rootless), "container" */
    size_t nested_count; /* containers inside it, outermost first */
    const struct sockowner_container *const *nested;
    uint64_t reserved[2];
} sockowner_container;

/* A process as it was when it was read. Pid and start together are its identity: pids are recycled. */
typedef struct sockowner_process {
    size_t size;
    const char *name;        /* always; bytes: base name of the executable, else comm */
    const char *comm;        /* always; bytes, chosen by the process */
    const char *path;        /* bytes: the executable, as the process sees it */
    const char *user;        /* name of its user */
    const sockowner_service *service;     /* whose cgroup it is in now */
    const sockowner_container *container; /* whose cgroup it is in now */
    uint64_t start_ticks;    /* clock ticks since boot, in the initial time namespace; on Windows see above */
    int64_t start_time;      /* the same in ns since 1970-01-01 UTC, by the clock's present reading; 0: not known */
    uint64_t exe_device;     /* st_dev and st_ino of the executable; both 0: not known */
    uint64_t exe_inode;
    uint32_t pid;
    uint32_t uid;            /* effective; SOCKOWNER_NO_UID: not known */
    uint32_t path_verified;  /* 1: path, opened here, is the very file */
    uint32_t exited;         /* 1: it is no more, only recorded */
    uint64_t reserved[4];
} sockowner_process;

/* One descriptor that stands for the socket. */
typedef struct sockowner_holder {
    size_t size;
    const sockowner_process *process; /* always */
    uint32_t tid;                     /* the thread in whose table it is: the pid, unless a thread has its own */
    int32_t fd;
    uint64_t reserved[2];
} sockowner_holder;

/* A process that may know more of the socket. Not an owner. */
typedef struct sockowner_candidate {
    size_t size;
    const sockowner_process *process; /* always */
    const char *evidence;             /* always: "cgroup_member" */
    uint64_t reserved[2];
} sockowner_candidate;

#define SOCKOWNER_NO_OFFSET UINT64_MAX /* no place in a module is known */

/* One frame of a caller's stack. */
typedef struct sockowner_frame {
    size_t size;
    const char *name;     /* always; bytes: base name of the module, "" for memory that no file holds */
    const char *path;     /* bytes: the module, as the process saw it */
    const char *build_id; /* the module's, in hexadecimal digits */
    uint64_t offset;      /* where it goes on: an address of the ELF file; the process's, in memory that no file holds */
    uint64_t reserved[2];
} sockowner_frame;

/* The module whose code made a call: a library, or the executable. The process's own stack says so: it can be forged. */
typedef struct sockowner_component {
    size_t size;
    const char *name;     /* always; bytes: base name of its path */
    const char *path;     /* bytes: as the process saw it */
    const char *build_id; /* in hexadecimal digits */
    uint64_t offset;      /* where the call returns to, an address of the ELF file, or SOCKOWNER_NO_OFFSET */
    const char *evidence; /* always: "cfi" (proved), "call_target", "cfi_indirect", "return_address",
                             "executable_only" */
    size_t frame_count;   /* from the system call outwards, as far as they were kept */
    const sockowner_frame *const *frames;
    uint32_t generated;   /* 1: the call came from code made at run time, and this is the nearest file */
    uint32_t reserved32;
    uint64_t reserved[4];
} sockowner_component;

/* A process in a role, as it was at the call. It may have ended since, and its number may be another's. */
typedef struct sockowner_role {
    size_t size;
    const char *name;     /* always; bytes: base name of the executable, else comm */
    const char *comm;     /* always; bytes, chosen by the process */
    const char *path;     /* bytes: the executable, as the process saw it */
    const char *evidence; /* always: "call" (it made the call), "first_user", "closer" (of an accepted connection; who
                             accepted it may have been another), "inherited" (its listener's) */
    const sockowner_service *service;     /* whose cgroup it was in; NULL too where that cgroup is gone by now */
    const sockowner_container *container; /* whose cgroup it was in */
    const sockowner_component *component; /* which made the call */
    uint64_t start_ticks; /* clock ticks since boot, in the initial time namespace */
    int64_t start_time;   /* the same in ns since 1970-01-01 UTC, by the clock's present reading; 0: not known */
    int64_t time;         /* of the call, likewise; 0: not known, or inherited */
    uint64_t exe_device;  /* st_dev and st_ino of the executable; both 0: not known */
    uint64_t exe_inode;
    uint64_t cgroup_id;   /* of the cgroup it was in */
    uint32_t pid;         /* 0: it has no number in the caller's pid namespace */
    uint32_t tid;         /* in the initial pid namespace; 0: not told to a caller in another one */
    uint32_t uid;         /* effective, in the initial user namespace */
    uint32_t implicit;    /* 1: a binder, by a connect or a listen that had the kernel choose a port */
    uint32_t deleted;     /* 1: nothing had the executable's name any more */
    uint32_t kernel_thread;
    uint64_t reserved[4];
} sockowner_role;

/* Who had to do with a socket, as a recorder noted it ("sockowner record"). Who is NULL and must have been there has a
 * reason: "not_recorded", "before_recorder", "not_permitted". Without a recorder all is NULL. */
typedef struct sockowner_roles {
    size_t size;
    const sockowner_role *creator;  /* called socket() */
    const sockowner_role *binder;   /* called bind(), or the connect() or listen() that bound it */
    const sockowner_role *listener; /* called listen() */
    const sockowner_role *acceptor; /* accepted the connection */
    const char *creator_reason;
    const char *binder_reason;
    const char *listener_reason;
    const char *acceptor_reason;
    uint64_t reserved[4];
} sockowner_roles;

/* One socket. */
typedef struct sockowner_endpoint {
    size_t size;
    const char *protocol;       /* always: "tcp", "udp", "mptcp" */
    const char *family;         /* always: "ipv4", "ipv6" */
    const char *state;          /* always: "LISTEN", "ESTABLISHED", ..., a number where it has no name */
    const char *local_address;  /* always; without brackets and port, link-local ones with %zone */
    const char *remote_address;
    uint8_t local_bytes[16];    /* the same in network byte order; of IPv4 the first 4 */
    uint8_t remote_bytes[16];
    uint32_t local_scope;       /* index of the zone's interface, 0 for none */
    uint32_t remote_scope;
    uint16_t local_port;        /* host byte order */
    uint16_t remote_port;       /* host byte order; 0 where there is no remote side */
    uint32_t uid;               /* of the socket; SOCKOWNER_NO_UID: not known (TIME_WAIT) */
    uint64_t netns;             /* inode of its network namespace; 0: not known */
    uint64_t inode;             /* in sockfs; 0 where no file stands for it */
    uint64_t cookie;            /* the kernel's number for it, not reused before a reboot; 0: none */
    uint64_t cgroup_id;         /* of the cgroup in which it was made; 0: not known */
    const char *cgroup_path;    /* bytes; NULL too where the cgroup was removed, or is outside the caller's view */
    const char *user;           /* name of uid */
    const sockowner_service *service;     /* of the socket's cgroup: the creator's, maybe not the owner's */
    const sockowner_container *container; /* likewise */
    const sockowner_process *owner;
    const char *evidence;       /* with an owner: "holder", "earliest_holder" (of several: convention), "recorded" */
    const char *reason;         /* without: "not_permitted", "no_holder", "no_visible_holder", "other_namespace",
                                   "gone", "not_recorded"; NULL with SOCKOWNER_NO_OWNERS */
    const char *match;          /* sockowner_who only: "exact", "wildcard" (listens on every address, so it serves) */
    size_t holder_count;        /* earliest process first */
    const sockowner_holder *const *holders;
    size_t candidate_count;     /* only without an owner */
    const sockowner_candidate *const *candidates;
    int64_t created_at;         /* ns since 1970-01-01 UTC, by the clock's present reading; 0: not known */
    uint32_t changed;           /* 1: its state was another one when the search for its owner began */
    uint32_t reserved32;
    const sockowner_roles *roles; /* always */
    int64_t closed_at;          /* when its last descriptor was closed (TIME_WAIT), as created_at; 0: not known, or open */
    uint64_t reserved[6];
} sockowner_endpoint;

/* Something that could not be read, so that silence never looks like an answer. */
typedef struct sockowner_gap {
    size_t size;
    const char *source; /* always: "sock_diag", "proc", "kcmp", "cgroup", "record", ... */
    const char *object; /* always: a table, a path, or a pattern that stands for "count" paths */
    const char *reason; /* always: "not_permitted", "gone", "changed", "malformed", "interrupted", "unsupported" */
    uint64_t count;
    uint64_t reserved[2];
} sockowner_gap;

typedef struct sockowner_result {
    size_t size;
    size_t endpoint_count; /* listeners first */
    const sockowner_endpoint *const *endpoints;
    size_t gap_count;
    const sockowner_gap *const *gaps;
    uint64_t reserved[4];
} sockowner_result;

/* ---- Functions ------------------------------------------------------------------------------------------------- */

/* Every endpoint that *filter takes; NULL takes all. *out is the result, or NULL on failure. Nothing found is
 * success, and so is a table or a process that could not be read while others could: see "gaps". */
int sockowner_snapshot(const sockowner_filter *filter, sockowner_result **out);

/* All about what "endpoint" names: ":22", "127.0.0.1:5432", "[::1]:80", "[fe80::1%eth0]:22", "udp/:53", and for one
 * connection "LOCAL,REMOTE". A specific address also finds the wildcard listener that serves it. As above. */
int sockowner_who(const char *endpoint, sockowner_result **out);

/* Frees a result and all within. NULL is allowed. */
void sockowner_free(sockowner_result *result);

/* Why this thread's last sockowner_snapshot or sockowner_who failed: operation, object, cause. Never NULL; empty
 * after a success, and it may be where a thread is ending (destructors of its keys). */
const char *sockowner_last_error(void);

/* The library's version: "0.1.0". */
const char *sockowner_version(void);

#ifdef __cplusplus
}
#endif

#endif
