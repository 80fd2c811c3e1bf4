/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a sampling program tells of one call. The reader's half is crates/sockowner-wire/src/sample.rs; both sides assert
 * sizes and offsets. Everything is in the byte order of the machine.
 */
#pragma once

#define STACK_ROOM 512
#define MAPPINGS_MAX 8

enum call {
	CALL_OTHER,		/* such as the sendto(2) that connects */
	CALL_BIND,
	CALL_CONNECT,
	CALL_LISTEN,
	CALL_ACCEPT,
	CALL_ACCEPT4,
};

enum sample_traits {
	SAMPLE_WORKER = 1,	/* a thread of io_uring's: it has no user's registers, and no stack */
	SAMPLE_COMPAT = 2,	/* 32-bit code: registers and stack are as that has them */
	SAMPLE_IO_URING = 4,	/* io_uring_enter(2) made the call */
	SAMPLE_MAPPED = 8,	/* mappings follow: all that the registers and the stack speak of */
	SAMPLE_SITE = 16,	/* one mapping follows: that of the call site, which the user part knows */
};

/* One call of a process that was noted in a role; when and process are the role's. */
struct sample {
	__u64 cookie;
	__u64 time;		/* nanoseconds since boot, suspended time included */
	__u64 process;
	__u64 when;
	__u64 binder_when;	/* of a listen that chose a port, the binder's; else 0 */
	__u64 start;		/* of the process */
	__u64 ip;
	__u64 sp;
	__u64 bp;
	__u32 tgid;		/* in the initial pid namespace */
	__u32 tid;
	__u32 uid;		/* real, in the initial user namespace */
	__u8 role;		/* enum role */
	__u8 call;
	__u8 traits;
	__u8 mappings;		/* how many follow */
	__u32 stack_length;	/* how many bytes from sp on could be read */
	__u32 zero;
	__u8 stack[STACK_ROOM];
};

/* A piece of a file that the process executes. */
struct sample_mapping {
	__u64 start;
	__u64 end;
	__u64 offset;		/* in the file, in bytes */
	__u64 inode;
	__u64 path;		/* key in the map of executables; 0: not kept */
	__u32 device;		/* major << 20 | minor */
	__u32 deleted;		/* nothing has the file's name any more */
};

/* With SAMPLE_MAPPED. */
struct mapped_sample {
	struct sample sample;
	struct sample_mapping mappings[MAPPINGS_MAX];
};

/* With SAMPLE_SITE. */
struct site_sample {
	struct sample sample;
	struct sample_mapping mapping;
};

#define SITES_MAX 4
/* No word of the stack is there: it stands for ip. */
#define SLOT_IP 0xffff

/* Where a process made a call: many a call site has this ip, that of the library's function. */
struct site_key {
	__u64 process;
	__u64 ip;
};

/* A call site: the word, and its distance from sp. */
struct site {
	__u64 word;		/* 0: none */
	__u16 slot;
	__u16 zero[3];
};

struct known_sites {
	struct site sites[SITES_MAX];
};

/* Of all processors. */
struct sample_counters {
	__u64 made;		/* calls that were to be told */
	__u64 lost;		/* that were not, as nobody had read those before */
};

/* How many of a user's calls were sampled in a time of 2^TURN ns, while the ring buffer was half full. */
struct turn {
	__u64 time;
	__u64 taken;
};

#define TURN 26
#define TURN_SAMPLES 64

/* One role whose component is found out. */
struct noted {
	__u64 cookie;
	__u64 process;
	__u64 when;
	__u32 role;
	__u32 component;
};

#define NOTED_MAX 256

/* What note is run with. */
struct note_context {
	__u64 noted;		/* the caller's address of an array of struct noted */
	__u32 count;		/* of its elements: NOTED_MAX at most; or NOTE_WASH */
	__u32 done;		/* how many were put into a record, or pieces washed */
};

/*
 * In place of a count: nothing is noted, but so many pieces of the ring buffer are overwritten, as far as they are free,
 * and left to the reader, who passes over them. Samples that were read long ago are gone then.
 */
#define NOTE_WASH 0xffffffffu
#define WASHED_MAX 64
#define WASHED_BYTES 4088	/* with its header a page */

_Static_assert(sizeof(struct sample) == 608, "sample");
_Static_assert(__builtin_offsetof(struct sample, tgid) == 72, "sample.tgid");
_Static_assert(__builtin_offsetof(struct sample, role) == 84, "sample.role");
_Static_assert(__builtin_offsetof(struct sample, stack) == 96, "sample.stack");
_Static_assert(sizeof(struct sample_mapping) == 48, "sample_mapping");
_Static_assert(__builtin_offsetof(struct mapped_sample, mappings) == 608, "mapped_sample.mappings");
_Static_assert(__builtin_offsetof(struct site_sample, mapping) == 608, "site_sample.mapping");
_Static_assert(sizeof(struct site_key) == 16, "site_key");
_Static_assert(sizeof(struct site) == 16, "site");
_Static_assert(__builtin_offsetof(struct site, slot) == 8, "site.slot");
_Static_assert(sizeof(struct known_sites) == 64, "known_sites");
_Static_assert(sizeof(struct sample_counters) == 16, "sample_counters");
_Static_assert(sizeof(struct noted) == 32, "noted");
_Static_assert(sizeof(struct note_context) == 16, "note_context");
