/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A descriptor of a thread, as a holder_row. */
#pragma once

#include "kernel.h"
#include "rows.h"

/* The number of a thread or process in the pid namespace of the task that reads the iterator, or 0. */
static __always_inline __u32 number_for_reader(struct task_struct *task, unsigned int level,
					       struct pid_namespace *ns)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	struct upid upid = {};

	if (!pid || BPF_CORE_READ(pid, level) < level)
		return 0;
	bpf_core_read(&upid, bpf_core_type_size(struct upid),
		      (void *)pid + bpf_core_field_offset(struct pid, numbers) +
			      level * bpf_core_type_size(struct upid));
	return upid.ns == ns ? upid.nr : 0;
}

/* The reader's pid namespace is that of its own innermost number (pid_namespaces(7)). */
static __always_inline struct pid_namespace *reader_pid_namespace(unsigned int *level)
{
	struct task_struct *reader = (struct task_struct *)bpf_get_current_task();
	struct pid *pid = BPF_CORE_READ(reader, thread_pid);
	struct upid upid = {};

	*level = BPF_CORE_READ(pid, level);
	bpf_core_read(&upid, bpf_core_type_size(struct upid),
		      (void *)pid + bpf_core_field_offset(struct pid, numbers) +
			      *level * bpf_core_type_size(struct upid));
	return upid.ns;
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

/*
 * Fills row with everything but inode, netns, pid and tid.
 *
 * Each type that is looked up in the kernel's BTF costs a search through all of it when the program is loaded. The
 * kernel remembers one type in each of 31 places (kernel/bpf/btf.c, vmlinux_cand_cache), where sock and kernfs_node,
 * net and inode, file and cgroup, css_set and mm_struct put each other out: so each is used up before the other begins.
 */
static __always_inline void describe(struct holder_row *row, struct task_struct *task, struct sock *sk)
{
	struct task_struct *leader = task->group_leader;

	row->cookie = bpf_get_socket_cookie(sk);
	row->start = leader->start_boottime;
	row->uid = sk->sk_uid.val;
	row->interface = sk->__sk_common.skc_bound_dev_if;
	row->local_port = sk->__sk_common.skc_num;
	row->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	row->protocol = sk->sk_protocol;
	row->family = sk->__sk_common.skc_family;
	row->state = sk->__sk_common.skc_state;
	row->v6only = BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_ipv6only);
	row->main_ended = !leader->files;
	if (row->family == AF_INET) {
		*(__be32 *)row->local = sk->__sk_common.skc_rcv_saddr;
		*(__be32 *)row->remote = sk->__sk_common.skc_daddr;
	} else {
		BPF_CORE_READ_INTO(&row->local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&row->remote, sk, __sk_common.skc_v6_daddr);
	}
	row->cgroup = BPF_CORE_READ(sk, sk_cgrp_data.cgroup, kn, id);
}

static __always_inline void number(struct holder_row *row, struct task_struct *task)
{
	unsigned int level;
	struct pid_namespace *ns = reader_pid_namespace(&level);

	row->tid = number_for_reader(task, level, ns);
	row->pid = task->pid == task->tgid ? row->tid : number_for_reader(task->group_leader, level, ns);
}
