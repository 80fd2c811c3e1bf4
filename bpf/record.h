/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the recorder keeps of sockets, and of the processes that made and used them. The reader's half is
 * crates/sockowner-wire/src/record.rs; both sides assert sizes and offsets. Everything is in the byte order of the
 * machine but addresses, which are bytes. Times are nanoseconds since boot, suspended time included.
 */
#pragma once

/* Counts up with every change of what follows: a reader that knows another one leaves the maps alone. */
#define RECORD_LAYOUT 2

/* How a role is known. */
enum evidence {
	EVIDENCE_NONE,		/* it is not known */
	EVIDENCE_CALL,		/* the process made the call that the role is named after */
	EVIDENCE_IMPLIED,	/* binder alone: the connect or listen that chose a port */
	EVIDENCE_INHERITED,	/* the listening socket's, of which this one is a connection */
	EVIDENCE_FIRST_USER,	/* acceptor alone: the first process that sent or received */
	EVIDENCE_CLOSER,	/* acceptor alone: the process that closed the last descriptor */
};

/* Where a record begins. */
enum origin {
	ORIGIN_OLDER,		/* at a later call: the socket is older than the recorder, or was made past it */
	ORIGIN_CREATED,		/* at socket(2) */
	ORIGIN_CHILD,		/* when the connection was established, or accepted: its creator is its listener's */
};

/*
 * A process in a role. Of when the lowest 22 bits are the thread, as pids have at most so many, then 4 bits evidence;
 * the rest is the time since the record's beginning in units of 2^14 ns; all ones: that, or later.
 */
struct party {
	__u64 process;		/* key in the map of processes; 0: there was no room for it */
	__u64 when;		/* written last */
};

#define WHEN_EVIDENCE 22
#define WHEN_AFTER 26
#define WHEN_UNIT 14

/* A socket record's parties, in its order. */
enum role { ROLE_CREATOR, ROLE_BINDER, ROLE_LISTENER, ROLE_ACCEPTOR, ROLES };

/* One socket; the key is its cookie. */
struct socket_record {
	__u64 created;		/* when the record begins: see origin */
	__u64 closed;		/* when the last descriptor was closed; 0: it is open */
	struct party creator;
	struct party binder;
	struct party listener;
	struct party acceptor;
	__u8 local[16];		/* addresses and ports as they were last, for a closed socket */
	__u8 remote[16];
	__u32 netns;		/* inode number of its network namespace */
	__u32 charged;		/* the user whose share of the table it takes, in the initial user namespace */
	__u16 local_port;
	__u16 remote_port;
	__u8 family;		/* AF_INET or AF_INET6 */
	__u8 protocol;		/* IPPROTO_TCP or _UDP */
	__u8 origin;
	__u8 refused;		/* at socket(2) there was no room to note it, or its listener */
	__u32 components[ROLES];	/* keys in the map of components, one of each role; 0: none is known */
};

#define PID_LEVELS 5

/*
 * One process as it was at a call; after exec(2), or a change of users or cgroup, it gets another record. Users and pid
 * are those of the initial namespaces.
 */
struct process_record {
	__u64 start;		/* of the process */
	__u64 seen;		/* when it was last noted, to a second */
	__u64 cgroup;		/* id of the cgroup v2 directory it was in */
	__u64 inode;		/* of its executable, 0: none */
	__u64 path;		/* key in the map of executables; 0: not kept */
	__u32 tgid;
	__u32 device;		/* of the executable's file system: major << 20 | minor */
	__u32 image;		/* differs after each exec(2) */
	__u32 uid;		/* real, effective, saved */
	__u32 euid;
	__u32 suid;
	__u32 traits;		/* TRAIT_* */
	__u32 charged;		/* as above */
	struct {
		__u32 namespace;	/* inode number; 0: there is no such level */
		__u32 pid;
	} numbers[PID_LEVELS];	/* in the namespaces below the initial one, outermost first */
	__u8 comm[16];		/* of the main thread */
};

enum traits {
	TRAIT_DUMPABLE = 1,	/* others of its user may look into it */
	TRAIT_KERNEL = 2,	/* a thread of the kernel */
	TRAIT_DELETED = 4,	/* nothing has the executable's name any more */
};

#define PATH_ROOM 416

/* One path of a file that is executed: its parts, the last one first, each with a NUL behind it. */
struct executable_record {
	__u64 inode;
	__u32 device;
	__u32 charged;
	__u32 seen;		/* when it was last noted, in seconds since boot */
	__u32 length;		/* of parts; 0: being written */
	__u8 parts[PATH_ROOM];
};

/*
 * What follows is written by the user part alone, into maps of its own. Keys count up and are never given again: a record
 * whose component was removed tells none, and not another's.
 */
#define FRAMES_MAX 8
#define BUILD_ID_ROOM 32
#define MODULE_ROOM 440

/* One frame of a caller's stack. */
struct component_frame {
	__u64 offset;		/* in the ELF file; for memory that no ELF file holds, the process's address */
	__u32 module;		/* key in the map of modules; 0: memory that no file holds */
	__u32 zero;
};

/* A place in a module that makes calls, and the way there from the system call. */
struct component_record {
	__u64 offset;
	__u32 module;
	__u32 charged;		/* the user whose share of the table it takes, in the initial user namespace */
	__u8 evidence;		/* enum component_evidence */
	__u8 generated;
	__u8 has_offset;
	__u8 frames;		/* how many of chain */
	__u32 zero;
	struct component_frame chain[FRAMES_MAX];
};

/* How it was established, the best first. */
enum component_evidence {
	COMPONENT_CFI = 1,
	COMPONENT_CALL_TARGET,
	COMPONENT_CFI_INDIRECT,
	COMPONENT_RETURN_ADDRESS,
	COMPONENT_EXECUTABLE_ONLY,
};

/* An ELF file, as a process sees it. */
struct module_record {
	__u8 build_id[BUILD_ID_ROOM];
	__u32 charged;
	__u16 length;		/* of path */
	__u8 build_id_length;
	__u8 is_name;		/* path is but the name of the file: there was no room for the rest, or there is none */
	__u8 path[MODULE_ROOM];
};

/* How many records were begun for a user, or by all; in another map: how many of them were removed. */
struct holding {
	__u64 sockets;
	__u64 processes;
	__u64 executables;
	__u64 not_recorded;	/* sockets that were not, as the user's share was used up */
};

/* What does not fit into the map of users counts as one user's. */
#define NO_USER 0xffffffffu

/* Of each processor. */
struct counters {
	__u64 events;		/* calls that were looked at */
	__u64 dropped;		/* that could not be noted, as a table was full or memory short */
	__u64 refused;		/* sockets that were not, as their user's share was used up */
};

/* Set by the loader before anything runs, but for the keys. */
struct settings {
	__u32 layout;		/* RECORD_LAYOUT */
	__u32 sockets;		/* how many the table holds */
	__u32 processes;
	__u32 executables;
	__u64 started;		/* when the recorder was started */
	__u32 component;	/* the last key that was given; counted by the user part */
	__u32 module;
};

/* What a listening socket hands down to its connections. */
struct heritage {
	struct party listener;
	struct party creator;
	__u32 charged;
	__u8 used;		/* by then it is a connection's: its first user is known */
	__u8 refused;		/* as above */
	__u16 zero;
};

_Static_assert(sizeof(struct socket_record) == 144, "socket_record");
_Static_assert(__builtin_offsetof(struct socket_record, creator) == 16, "socket_record.creator");
_Static_assert(__builtin_offsetof(struct socket_record, local) == 80, "socket_record.local");
_Static_assert(__builtin_offsetof(struct socket_record, netns) == 112, "socket_record.netns");
_Static_assert(__builtin_offsetof(struct socket_record, family) == 124, "socket_record.family");
_Static_assert(__builtin_offsetof(struct socket_record, components) == 128, "socket_record.components");
_Static_assert(sizeof(struct process_record) == 128, "process_record");
_Static_assert(__builtin_offsetof(struct process_record, tgid) == 40, "process_record.tgid");
_Static_assert(__builtin_offsetof(struct process_record, numbers) == 72, "process_record.numbers");
_Static_assert(__builtin_offsetof(struct process_record, comm) == 112, "process_record.comm");
_Static_assert(sizeof(struct executable_record) == 440, "executable_record");
_Static_assert(__builtin_offsetof(struct executable_record, parts) == 24, "executable_record.parts");
_Static_assert(sizeof(struct component_record) == 152, "component_record");
_Static_assert(__builtin_offsetof(struct component_record, chain) == 24, "component_record.chain");
_Static_assert(sizeof(struct module_record) == 480, "module_record");
_Static_assert(__builtin_offsetof(struct module_record, path) == 40, "module_record.path");
_Static_assert(sizeof(struct holding) == 32, "holding");
_Static_assert(sizeof(struct counters) == 24, "counters");
_Static_assert(sizeof(struct settings) == 32, "settings");
_Static_assert(sizeof(struct heritage) == 40, "heritage");
