/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the iterators write, one record after the other. The reader's half is crates/sockowner-wire/src/iterator.rs;
 * both sides assert sizes and offsets. Everything is in the byte order of the machine but addresses, which are bytes.
 */
#pragma once

/* One descriptor that stands for a TCP or UDP socket. What is known of the socket itself follows only if described. */
struct holder_row {
	__u64 cookie;		/* sock_diag's number for the socket */
	__u64 inode;		/* in sockfs; for an MPTCP socket its subflows' too */
	__u64 start;		/* of the process: nanoseconds since boot, in the initial time namespace */
	__u32 netns;		/* inode number of the socket's network namespace */
	__u32 pid;		/* of the process, in the reader's pid namespace; 0: it has no number there */
	__u32 tid;		/* of the thread in whose table the descriptor is, likewise */
	__s32 fd;
	__u16 protocol;		/* IPPROTO_TCP, _UDP or _MPTCP */
	__u8 main_ended;	/* the main thread has no descriptor table any more */
	__u8 described;		/* a socket_part follows */
	__u8 zero[4];
};

struct socket_part {
	__u64 cgroup;		/* id of the cgroup in which the socket was created */
	__u32 uid;		/* the socket's user, in the initial user namespace */
	__u32 interface;	/* index of the interface it is bound to, or 0 */
	__u16 local_port;	/* 0: not bound */
	__u16 remote_port;	/* 0: no peer */
	__u8 family;		/* AF_INET or AF_INET6 */
	__u8 state;		/* TCP_* of include/net/tcp_states.h */
	__u8 v6only;
	__u8 zero;
	__u8 local[16];		/* an IPv4 address in the first four */
	__u8 remote[16];
};

/* One process, followed by path_length bytes: the path of its executable as the reader sees it, without a NUL. */
struct process_row {
	__u64 start;		/* as above */
	__u64 cgroup;		/* id of the cgroup v2 directory it is in */
	__u64 inode;		/* of the executable, 0: none */
	__u32 device;		/* of the executable's file system: major << 20 | minor */
	__u32 pid;		/* in the reader's pid namespace */
	__u32 parent;		/* in the reader's pid namespace, or 0 */
	__u32 uid;		/* effective, in the initial user namespace */
	__u32 kernel_thread;
	__u32 path_length;	/* 0: no executable, or a path that does not fit */
	__u8 comm[16];
};

_Static_assert(sizeof(struct holder_row) == 48, "holder_row");
_Static_assert(__builtin_offsetof(struct holder_row, netns) == 24, "holder_row.netns");
_Static_assert(__builtin_offsetof(struct holder_row, protocol) == 40, "holder_row.protocol");
_Static_assert(sizeof(struct socket_part) == 56, "socket_part");
_Static_assert(__builtin_offsetof(struct socket_part, local_port) == 16, "socket_part.local_port");
_Static_assert(__builtin_offsetof(struct socket_part, local) == 24, "socket_part.local");
_Static_assert(sizeof(struct process_row) == 64, "process_row");
_Static_assert(__builtin_offsetof(struct process_row, device) == 24, "process_row.device");
_Static_assert(__builtin_offsetof(struct process_row, comm) == 48, "process_row.comm");

/* Which sockets the reader wants; all zero: every socket. */
#define WANTED_MAX 8
struct wanted {
	__u32 netns;		/* of this network namespace alone */
	__u32 inodes;		/* how many of these, 0: any */
	__u32 states;		/* a bit for each state, 0: any */
	__u32 brief;		/* sockets are not described */
	__u64 inode[WANTED_MAX];
};
