/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* How the recorder's programs keep sockets. */
#pragma once

#include "recorder_process.h"

static __always_inline enum evidence evidence_of(const struct party *party)
{
	return party->when >> WHEN_EVIDENCE & 15;
}

/* Puts the calling thread into a role. A reader takes the role for unknown until the last store. */
static __always_inline void set_party(struct party *party, __u64 process, enum evidence evidence, __u64 after)
{
	__u64 thread = bpf_get_current_pid_tgid() & ((1 << WHEN_EVIDENCE) - 1);

	after >>= WHEN_UNIT;
	if (after > (1ull << (64 - WHEN_AFTER)) - 1)
		after = (1ull << (64 - WHEN_AFTER)) - 1;
	*(volatile __u64 *)&party->when = 0;
	*(volatile __u64 *)&party->process = process;
	*(volatile __u64 *)&party->when = after << WHEN_AFTER | (__u64)evidence << WHEN_EVIDENCE | thread;
}

static __always_inline struct party *party_of(struct socket_record *record, enum role role)
{
	return role == ROLE_CREATOR ? &record->creator : role == ROLE_BINDER ? &record->binder :
	       role == ROLE_LISTENER ? &record->listener : &record->acceptor;
}

/* The same in a record that is there: the component of whoever was in the role before goes with him. */
static __always_inline void set_role(struct socket_record *record, enum role role, __u64 process,
				     enum evidence evidence, __u64 now)
{
	struct party *party = party_of(record, role);

	/* In this order: see note in sample.bpf.c. */
	*(volatile __u64 *)&party->when = 0;
	*(volatile __u32 *)&record->components[role] = 0;
	set_party(party, process, evidence, now - record->created);
}

/* Addresses and ports as they are now; a closed connection keeps them until its last descriptor goes. */
static __always_inline void set_tuple(struct socket_record *record, struct sock *sk)
{
	__u16 port = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));

	if (!port)
		return;
	record->local_port = port;
	record->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (record->family == AF_INET) {
		BPF_CORE_READ_INTO((__be32 *)record->local, sk, __sk_common.skc_rcv_saddr);
		BPF_CORE_READ_INTO((__be32 *)record->remote, sk, __sk_common.skc_daddr);
	} else {
		BPF_CORE_READ_INTO(&record->local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&record->remote, sk, __sk_common.skc_v6_daddr);
	}
}

static __always_inline bool is_recorded(__u32 family, __u32 protocol)
{
	return (family == AF_INET || family == AF_INET6) && (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP);
}

/* Three numbers as one, as a function has five arguments at most. */
static __always_inline __u32 kind_of(__u8 family, __u8 protocol, __u8 origin)
{
	return family | protocol << 8 | origin << 16;
}

/* Added to a kind: this is a later call, and the socket was counted at its first where it was refused a place. */
#define LATER (1u << 24)
/* At its first, by which it has a mark. */
#define REFUSED (1u << 25)

static __noinline void count_refused(__u32 user)
{
	struct counters *here = LOOKUP_ONE(counters);
	struct holding *its;

	user = account_of(user);
	its = bpf_map_lookup_elem(&users, &user);
	if (its)
		__sync_fetch_and_add(&its->not_recorded, 1);
	if (here)
		__sync_fetch_and_add(&here->refused, 1);
}

/* Lest a socket be taken for older than the recorder, if there is room at a later call. */
static __always_inline void mark_refused(struct bpf_sock *shown)
{
	struct heritage *mark = bpf_sk_storage_get(&heritage, shown, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (mark)
		mark->refused = 1;
}

/*
 * Begins a record, if there is none, with what the socket inherited; false where there was no room for it. The kernel's
 * own sockets are left out: nothing tells when they are closed.
 */
static __noinline bool begin(__u64 cookie, struct sock *sk, __u32 kind, __u64 now, const struct heritage *from)
{
	struct socket_record fresh = {};
	__u8 origin = kind >> 16;
	long error;

	if (BPF_CORE_READ_BITFIELD_PROBED((struct sock___noted *)sk, sk_kern_sock))
		return true;
	fresh.created = now;
	fresh.family = kind;
	fresh.protocol = kind >> 8;
	fresh.origin = origin;
	fresh.refused = !!(kind & REFUSED);
	fresh.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (origin == ORIGIN_CHILD)
		set_tuple(&fresh, sk);
	if (from) {
		fresh.listener = from->listener;
		fresh.creator = from->creator;
		fresh.charged = from->charged;
		fresh.refused = from->refused;
	} else {
		fresh.charged = origin == ORIGIN_CHILD ? BPF_CORE_READ(sk, sk_uid.val) : bpf_get_current_uid_gid();
	}
	if (!has_share(fresh.charged, TABLE_SOCKETS)) {
		if (!(kind & LATER))
			count_refused(fresh.charged);
		return false;
	}
	error = bpf_map_update_elem(&sockets, &cookie, &fresh, BPF_NOEXIST);
	if (!error)
		charge(fresh.charged, TABLE_SOCKETS);
	else if (error != -EEXIST)
		count_dropped();
	return !error || error == -EEXIST;
}

/*
 * The record of a socket, begun if there is none. Shown is the socket as the kind of program knows it, of which its mark is
 * had.
 */
static __always_inline struct socket_record *record_of(__u64 cookie, struct sock *sk, void *shown, __u32 kind,
							__u64 now, const struct heritage *from)
{
	struct socket_record *record = bpf_map_lookup_elem(&sockets, &cookie);
	struct heritage *mark;

	if (record)
		return record;
	mark = !from && shown ? bpf_sk_storage_get(&heritage, shown, 0, 0) : 0;
	if (mark && mark->refused)
		kind |= REFUSED;
	begin(cookie, sk, kind | LATER, now, from);
	return bpf_map_lookup_elem(&sockets, &cookie);
}

/* Of an address program's socket too; its pointer is read from the stack as a number, with which one may reckon. */
static __always_inline struct sock *sock_at(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *shown = ctx->sk;
	struct sock *sk = 0;

	bpf_probe_read_kernel(&sk, sizeof(sk), &shown);
	return sk;
}

/*
 * Nobody has the socket's file but the call that makes it. io_uring has a getpeername too, whose request has the file
 * (but of a direct descriptor, which alone has it); kernels that have it count files so.
 */
static __always_inline bool is_being_made(struct sock *sk)
{
	struct file___counted *file = BPF_CORE_READ((struct sock___noted *)sk, sk_socket, file);

	if (!bpf_core_field_exists(file->f_ref))
		return true;
	return file && !BPF_CORE_READ(file, f_ref.refcnt.counter);
}

/* The calling thread is in a call that accepts this socket; these programs run in getpeername(2) as well. */
static __always_inline bool is_accepting(struct sock *sk)
{
	struct task_struct___noted *task = (void *)bpf_get_current_task_btf();
	struct pt_regs *regs;
	unsigned long number, which;

	/* Without registers of a user's call. */
	if (task->flags & (PF_IO_WORKER | PF_USER_WORKER))
		return is_being_made(sk);
	regs = (struct pt_regs *)bpf_task_pt_regs((void *)task);
	/* But for the mark of x32. */
	number = BPF_CORE_READ(regs, orig_ax) & ~0x40000000ul;
	/* io_uring_enter */
	if (number == 426)
		return is_being_made(sk);
	/* accept, accept4; accept4 and socketcall of 32-bit programs. */
	if (number == 43 || number == 288 || number == 364)
		return true;
	if (number != 102)
		return false;
	which = BPF_CORE_READ(regs, bx);
	return which == 5 || which == 18;
}
