/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A descriptor of a thread, as a holder_row. */
#pragma once

#include "kernel.h"
#include "rows.h"

/*
 * The pid namespace of the task that reads the iterator, and how deep it is: that of its own innermost number
 * (pid_namespaces(7)).
 *
 * Pointers are followed by probe reads: where the verifier has to believe in what they lead to it looks for the name of
 * a marker type in the whole BTF (btf_nested_type_is_trusted), for each of them, when the program is loaded.
 */
struct reader {
	unsigned int level;
	struct pid_namespace *ns;
};

static __always_inline struct upid number_at(struct pid *pid, unsigned int level)
{
	struct upid upid = {};

	bpf_core_read(&upid, bpf_core_type_size(struct upid),
		      (void *)pid + bpf_core_field_offset(struct pid, numbers) +
			      level * bpf_core_type_size(struct upid));
	return upid;
}

static __always_inline struct reader this_reader(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	struct reader reader = { .level = BPF_CORE_READ(pid, level) };

	if (reader.level)
		reader.ns = number_at(pid, reader.level).ns;
	return reader;
}

/* The number of a thread or process for the reader, or 0. */
static __always_inline __u32 number_for(const struct reader *reader, struct task_struct *task)
{
	struct pid *pid;
	struct upid upid;

	/* In the initial pid namespace everybody has a number, and it is the one that the kernel itself uses. */
	if (!reader->level)
		return BPF_CORE_READ(task, pid);
	pid = BPF_CORE_READ(task, thread_pid);
	if (!pid || BPF_CORE_READ(pid, level) < reader->level)
		return 0;
	upid = number_at(pid, reader->level);
	return upid.ns == reader->ns ? upid.nr : 0;
}

/* The socket behind a file, if it is one of TCP, UDP or MPTCP. */
static __always_inline struct sock *inet_sock(struct file *file)
{
	struct socket *socket = bpf_sock_from_file(file);
	struct sock *sk;
	__u16 family, protocol;

	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk)
		return 0;
	family = sk->__sk_common.skc_family;
	if (family != AF_INET && family != AF_INET6)
		return 0;
	protocol = sk->sk_protocol;
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP && protocol != IPPROTO_MPTCP)
		return 0;
	return sk;
}

/* Everything of row but inode, netns and fd. */
static __always_inline void number(struct holder_row *row, struct task_struct *task, struct sock *sk)
{
	struct reader reader = this_reader();
	struct task_struct *leader;

	row->cookie = bpf_get_socket_cookie(sk);
	row->protocol = sk->sk_protocol;
	row->tid = number_for(&reader, task);
	if (task->pid == task->tgid) {
		row->pid = row->tid;
		row->start = task->start_boottime;
		return;
	}
	leader = BPF_CORE_READ(task, group_leader);
	row->pid = number_for(&reader, leader);
	row->start = BPF_CORE_READ(leader, start_boottime);
	row->main_ended = !BPF_CORE_READ(leader, files);
}

/*
 * Each type that is looked up in the kernel's BTF costs a search through all of it when the program is loaded. The
 * kernel remembers one type in each of 31 places (kernel/bpf/btf.c, vmlinux_cand_cache), where sock and kernfs_node,
 * net and inode, file and cgroup, css_set and mm_struct put each other out: so each is used up before the other begins.
 */
static __always_inline void describe(struct socket_part *part, struct sock *sk)
{
	part->uid = sk->sk_uid.val;
	part->interface = sk->__sk_common.skc_bound_dev_if;
	part->local_port = sk->__sk_common.skc_num;
	part->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	part->family = sk->__sk_common.skc_family;
	part->state = sk->__sk_common.skc_state;
	part->v6only = BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_ipv6only);
	if (part->family == AF_INET) {
		*(__be32 *)part->local = sk->__sk_common.skc_rcv_saddr;
		*(__be32 *)part->remote = sk->__sk_common.skc_daddr;
	} else {
		BPF_CORE_READ_INTO(&part->local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&part->remote, sk, __sk_common.skc_v6_daddr);
	}
	part->cgroup = BPF_CORE_READ(sk, sk_cgrp_data.cgroup, kn, id);
}
