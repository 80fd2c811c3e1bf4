// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The recorder's programs at the root of the cgroups: who created, bound, connected, accepted and closed each TCP and
 * UDP socket. They look and write maps. Each returns 1 on every path, which allows what was asked: none can refuse.
 */
#include "recorder.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* The context of these programs is the socket itself, of which the verifier shows a few fields. */
static __always_inline struct sock *sock_of(struct bpf_sock *ctx)
{
	return (struct sock *)ctx;
}

static __always_inline __u32 older(__u8 family, __u8 protocol)
{
	return kind_of(family, protocol, ORIGIN_OLDER);
}

SEC("cgroup/sock_create")
int sock_create(struct bpf_sock *ctx)
{
	struct heritage own = {};
	__u64 now, cookie;

	/* An MPTCP socket's number is that of the connections it accepts. */
	if (!is_recorded(ctx->family, ctx->protocol))
		return 1;
	count_event();
	/* From now on it has a number, which every later state keeps. */
	cookie = bpf_get_socket_cookie(ctx);
	now = bpf_ktime_get_boot_ns();
	set_party(&own.creator, note_process(now), EVIDENCE_CALL, 0);
	own.charged = bpf_get_current_uid_gid();
	if (begin(cookie, sock_of(ctx), kind_of(ctx->family, ctx->protocol, ORIGIN_CREATED), now, &own))
		return 1;
	mark_refused(ctx);
	return 1;
}

static __always_inline int bound(struct bpf_sock *ctx)
{
	struct socket_record *record;
	__u64 now;

	if (!is_recorded(ctx->family, ctx->protocol))
		return 1;
	count_event();
	now = bpf_ktime_get_boot_ns();
	record = record_of(bpf_get_socket_cookie(ctx), sock_of(ctx), ctx, older(ctx->family, ctx->protocol), now, 0);
	if (record)
		set_role(record, ROLE_BINDER, note_process(now), EVIDENCE_CALL, now);
	return 1;
}

SEC("cgroup/post_bind4")
int post_bind4(struct bpf_sock *ctx)
{
	return bound(ctx);
}

SEC("cgroup/post_bind6")
int post_bind6(struct bpf_sock *ctx)
{
	return bound(ctx);
}

/* A socket without a port is bound by its connect. */
static __always_inline int connects(struct bpf_sock_addr *ctx)
{
	struct socket_record *record;
	struct bpf_sock *sk = ctx->sk;
	__u64 now, cookie;

	if (!sk || !is_recorded(ctx->family, ctx->protocol))
		return 1;
	count_event();
	now = bpf_ktime_get_boot_ns();
	cookie = bpf_get_socket_cookie(ctx);
	record = bpf_map_lookup_elem(&sockets, &cookie);
	if (!record)
		record = record_of(cookie, sock_at(ctx), sk, older(ctx->family, ctx->protocol), now, 0);
	if (record && !sk->src_port)
		set_role(record, ROLE_BINDER, note_process(now), EVIDENCE_IMPLIED, now);
	return 1;
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	return connects(ctx);
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	return connects(ctx);
}

static __always_inline int accepts(struct bpf_sock_addr *ctx)
{
	struct socket_record *record;
	struct heritage *from;
	__u64 now, cookie;

	if (!is_recorded(ctx->family, ctx->protocol) || ctx->protocol != IPPROTO_TCP || !is_accepting(sock_at(ctx)))
		return 1;
	count_event();
	cookie = bpf_get_socket_cookie(ctx);
	now = bpf_ktime_get_boot_ns();
	record = bpf_map_lookup_elem(&sockets, &cookie);
	if (!record) {
		from = ctx->sk ? bpf_sk_storage_get(&heritage, ctx->sk, 0, 0) : 0;
		record = record_of(cookie, sock_at(ctx), 0, kind_of(ctx->family, ctx->protocol, ORIGIN_CHILD), now,
				   from);
	}
	/* Once: who asks for the peer's name later did not accept. */
	if (record && record->origin == ORIGIN_CHILD && evidence_of(&record->acceptor) != EVIDENCE_CALL)
		set_role(record, ROLE_ACCEPTOR, note_process(now), EVIDENCE_CALL, now);
	return 1;
}

SEC("cgroup/getpeername4")
int getpeername4(struct bpf_sock_addr *ctx)
{
	return accepts(ctx);
}

SEC("cgroup/getpeername6")
int getpeername6(struct bpf_sock_addr *ctx)
{
	return accepts(ctx);
}

/* A connection that came in has its addresses from the beginning; only connect(2) could give it others, and a peer. */
static __always_inline bool is_named(const struct socket_record *record, struct bpf_sock *ctx)
{
	return record->origin == ORIGIN_CHILD && record->family == AF_INET && record->local_port &&
	       record->remote_port == bpf_ntohs(ctx->dst_port) && *(__u32 *)record->remote == ctx->dst_ip4;
}

/* The last descriptor is closed, or the last process that had one has ended. */
SEC("cgroup/sock_release")
int sock_release(struct bpf_sock *ctx)
{
	struct task_struct___noted *task = (void *)bpf_get_current_task_btf();
	struct socket_record *record;
	__u64 now;

	if (!is_recorded(ctx->family, ctx->protocol))
		return 1;
	count_event();
	now = bpf_ktime_get_boot_ns();
	record = record_of(bpf_get_socket_cookie(ctx), sock_of(ctx), ctx, older(ctx->family, ctx->protocol), now, 0);
	if (!record)
		return 1;
	/* The kernel closes what nobody received, in a thread of its own. */
	if (record->origin == ORIGIN_CHILD && !evidence_of(&record->acceptor) && !(task->flags & PF_KTHREAD))
		set_role(record, ROLE_ACCEPTOR, note_process(now), EVIDENCE_CLOSER, now);
	if (!is_named(record, ctx))
		set_tuple(record, sock_of(ctx));
	*(volatile __u64 *)&record->closed = now;
	return 1;
}
