/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the recorder keeps of sockets, and of the processes that made and used them. The reader's half is
 * crates/sockowner-wire/src/record.rs; both sides assert sizes and offsets. Everything is in the byte order of the
 * machine but addresses, which are bytes. Times are nanoseconds since boot, suspended time included.
 */
#pragma once

/* Counts up with every change of what follows: a reader that knows another one leaves the maps alone. */
#define RECORD_LAYOUT 1

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
	__u8 zero;
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

#define PATH_ROOM 420

/* One path of an executable: its components, the last one first, each with a NUL behind it. */
struct executable_record {
	__u64 inode;
	__u32 device;
	__u32 charged;
	__u32 length;		/* of parts; 0: being written */
	__u8 parts[PATH_ROOM];
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

/* Set by the loader before anything runs. */
struct settings {
	__u32 layout;		/* RECORD_LAYOUT */
	__u32 sockets;		/* how many the table holds */
	__u32 processes;
	__u32 executables;
	__u64 started;		/* when the recorder was started */
};

/* What a listening socket hands down to its connections. */
struct heritage {
	struct party listener;
	struct party creator;
	__u32 charged;
	__u32 used;		/* by then it is a connection's: its first user is known */
};

_Static_assert(sizeof(struct socket_record) == 128, "socket_record");
_Static_assert(__builtin_offsetof(struct socket_record, creator) == 16, "socket_record.creator");
_Static_assert(__builtin_offsetof(struct socket_record, local) == 80, "socket_record.local");
_Static_assert(__builtin_offsetof(struct socket_record, netns) == 112, "socket_record.netns");
_Static_assert(__builtin_offsetof(struct socket_record, family) == 124, "socket_record.family");
_Static_assert(sizeof(struct process_record) == 128, "process_record");
_Static_assert(__builtin_offsetof(struct process_record, tgid) == 40, "process_record.tgid");
_Static_assert(__builtin_offsetof(struct process_record, numbers) == 72, "process_record.numbers");
_Static_assert(__builtin_offsetof(struct process_record, comm) == 112, "process_record.comm");
_Static_assert(sizeof(struct executable_record) == 440, "executable_record");
_Static_assert(__builtin_offsetof(struct executable_record, parts) == 20, "executable_record.parts");
_Static_assert(sizeof(struct holding) == 32, "holding");
_Static_assert(sizeof(struct counters) == 24, "counters");
_Static_assert(sizeof(struct settings) == 24, "settings");
_Static_assert(sizeof(struct heritage) == 40, "heritage");
