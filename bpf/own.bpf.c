// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Who holds the sockets of one user: the iterator for everybody. What it shows depends on who opened the file, so that
 * a descriptor that is handed to a more privileged program shows it no more than its opener could see.
 */
#include <bpf/bpf_endian.h>
#include "holder.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

SEC("iter/task_file")
int own_holders(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct holder_row row = {};
	struct sock *sk;

	if (!task || !file)
		return 0;
	sk = inet_sock(file);
	if (!sk || sk->sk_uid.val != BPF_CORE_READ(ctx->meta, seq, file, f_cred, euid.val))
		return 0;
	row.inode = file->f_inode->i_ino;
	row.netns = sk->__sk_common.skc_net.net->ns.inum;
	row.fd = ctx->fd;
	number(&row, task, sk);
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}
