// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Who holds which socket: two iterators, read by crates/sockowner/src/sys/linux/bpf. They look and write rows; they
 * change nothing. CAP_BPF and CAP_PERFMON load them; a pinned link's file mode says who may read.
 */
#include <bpf/bpf_endian.h>
#include "holder.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Set by the loader, read by holders; a pinned iterator's is zero. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct wanted);
} wanted SEC(".maps");

#define PATH_ROOM 1024

/* So many runs at once, each preempted by the next one, find a place on a processor. */
#define PLACES 4

/* A process row and its path, too large for the stack. */
struct place {
	__u64 taken;
	struct process_row row;
	char path[PATH_ROOM];
};

/*
 * A program stays on its processor and may be preempted there by another reader's run (bpf_iter_run_prog disables
 * migration alone): a place is one run's until that has written its row.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PLACES);
	__type(key, __u32);
	__type(value, struct place);
} scratch SEC(".maps");

/* A place that nobody has, or 0; to be given back. */
static __noinline struct place *take_place(void)
{
#pragma unroll
	for (__u32 i = 0; i < PLACES; i++) {
		__u32 key = i;
		struct place *place = bpf_map_lookup_elem(&scratch, &key);

		if (place && !__sync_lock_test_and_set(&place->taken, 1))
			return place;
	}
	return 0;
}

/* Before anything else of the file is looked at: most descriptors are no sockets, most sockets not wanted. */
static __always_inline bool is_wanted(const struct wanted *want, unsigned long inode)
{
	if (!want->inodes)
		return true;
#pragma unroll
	for (__u32 i = 0; i < WANTED_MAX; i++)
		if (i < want->inodes && want->inode[i] == inode)
			return true;
	return false;
}

SEC("iter/task_file")
int holders(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct {
		struct holder_row row;
		struct socket_part part;
	} it = {};
	struct wanted *want;
	struct sock *sk;
	__u32 zero = 0;

	if (!task || !file)
		return 0;
	want = bpf_map_lookup_elem(&wanted, &zero);
	if (!want)
		return 0;
	it.row.inode = file->f_inode->i_ino;
	if (!is_wanted(want, it.row.inode))
		return 0;
	sk = inet_sock(file);
	if (!sk)
		return 0;
	if (want->states && !(want->states & 1U << (sk->__sk_common.skc_state & 31)))
		return 0;
	it.row.netns = sk->__sk_common.skc_net.net->ns.inum;
	if (want->netns && want->netns != it.row.netns)
		return 0;
	it.row.fd = ctx->fd;
	number(&it.row, task, sk);
	if (want->brief) {
		bpf_seq_write(ctx->meta->seq, &it, sizeof(it.row));
		return 0;
	}
	it.row.described = true;
	describe(&it.part, sk);
	bpf_seq_write(ctx->meta->seq, &it, sizeof(it));
	return 0;
}

SEC("iter/task")
int processes(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct process_row *row;
	struct place *it;
	struct reader reader;
	struct mm_struct *mm;
	struct file *exe;
	long length;

	if (!task || task->pid != task->tgid)
		return 0;
	it = take_place();
	/* The kernel comes by this process again; a reader whose turn never comes is told EAGAIN. */
	if (!it)
		return 1;
	row = &it->row;
	reader = this_reader();
	row->start = task->start_boottime;
	row->cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	row->pid = number_for(&reader, task);
	row->parent = number_for(&reader, BPF_CORE_READ(task, real_parent, group_leader));
	row->uid = BPF_CORE_READ(task, real_cred, euid.val);
	row->kernel_thread = !!(task->flags & PF_KTHREAD);
	BPF_CORE_READ_STR_INTO(&row->comm, task, comm);
	row->inode = 0;
	row->device = 0;
	row->path_length = 0;
	mm = task->mm;
	exe = mm ? mm->exe_file : 0;
	if (exe && !row->kernel_thread) {
		row->inode = exe->f_inode->i_ino;
		row->device = exe->f_inode->i_sb->s_dev;
		length = bpf_d_path(&exe->f_path, it->path, sizeof(it->path));
		/* The length counts the NUL. */
		if (length > 1 && length <= PATH_ROOM)
			row->path_length = length - 1;
	}
	length = row->path_length;
	barrier_var(length);
	length &= PATH_ROOM - 1;
	bpf_seq_write(ctx->meta->seq, row, sizeof(*row) + length);
	/* On x86 nothing that was written before this is seen after it. */
	*(volatile __u64 *)&it->taken = 0;
	return 0;
}
