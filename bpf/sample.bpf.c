// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The sampling programs at the root of the cgroups. Each returns 1 on every path, which allows what was asked. And note,
 * which is run by the user part when it has found out whose code made a call.
 */
#ifndef WITHOUT_MAPPINGS
#define WITH_MAPPINGS
#endif
#include "sampler.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

static __always_inline int binds(struct bpf_sock *ctx)
{
	if (is_recorded(ctx->family, ctx->protocol))
		tell(bpf_get_socket_cookie(ctx), what_of(ROLE_BINDER, CALL_BIND, EVIDENCE_CALL));
	return 1;
}

SEC("cgroup/post_bind4")
int sample_bind4(struct bpf_sock *ctx)
{
	return binds(ctx);
}

SEC("cgroup/post_bind6")
int sample_bind6(struct bpf_sock *ctx)
{
	return binds(ctx);
}

/* A socket that has a port was bound by another call. */
static __always_inline int connects(struct bpf_sock_addr *ctx)
{
	if (is_recorded(ctx->family, ctx->protocol) && !BPF_CORE_READ(sock_at(ctx), __sk_common.skc_num))
		tell(bpf_get_socket_cookie(ctx), what_of(ROLE_BINDER, CALL_CONNECT, EVIDENCE_IMPLIED));
	return 1;
}

SEC("cgroup/connect4")
int sample_connect4(struct bpf_sock_addr *ctx)
{
	return connects(ctx);
}

SEC("cgroup/connect6")
int sample_connect6(struct bpf_sock_addr *ctx)
{
	return connects(ctx);
}

static __always_inline int accepts(struct bpf_sock_addr *ctx)
{
	if (is_recorded(ctx->family, ctx->protocol) && ctx->protocol == IPPROTO_TCP && is_accepting(sock_at(ctx)))
		tell(bpf_get_socket_cookie(ctx), what_of(ROLE_ACCEPTOR, CALL_ACCEPT, EVIDENCE_CALL));
	return 1;
}

SEC("cgroup/getpeername4")
int sample_accept4(struct bpf_sock_addr *ctx)
{
	return accepts(ctx);
}

SEC("cgroup/getpeername6")
int sample_accept6(struct bpf_sock_addr *ctx)
{
	return accepts(ctx);
}

struct note_loop {
	__u64 noted;
	__u64 tried;
	__u64 done;
};

/*
 * A role may be set anew meanwhile, or the record removed and its memory given to another's, whose parties are written
 * before its components. Whoever does that begins with the party; so if it still is the one that was sampled after the
 * component is there, whatever follows takes the component away with it.
 */
static long note_one(__u32 index, struct note_loop *loop)
{
	struct socket_record *record;
	struct noted noted;
	struct party *party;
	__u32 role;

	if (bpf_copy_from_user(&noted, sizeof(noted), (void *)(loop->noted + index * sizeof(noted))))
		return 1;
	role = noted.role;
	record = bpf_map_lookup_elem(&sockets, &noted.cookie);
	if (!record || role >= ROLES || !noted.when)
		return 0;
	party = party_of(record, role);
	if (*(volatile __u64 *)&party->when != noted.when || *(volatile __u64 *)&party->process != noted.process)
		return 0;
	*(volatile __u32 *)&record->components[role] = noted.component;
	/* On x86 nothing that is read after this was read before that was written. */
	__sync_fetch_and_add(&loop->tried, 1);
	if (*(volatile __u64 *)&party->when != noted.when || *(volatile __u64 *)&party->process != noted.process) {
		*(volatile __u32 *)&record->components[role] = 0;
		return 0;
	}
	loop->done++;
	return 0;
}

static long wash_one(__u32 index, __u32 *washed)
{
	void *piece = bpf_ringbuf_reserve(&samples, WASHED_BYTES, 0);

	if (!piece)
		return 1;
	/* There is nothing at this address, and what cannot be read is filled with zeros. */
	bpf_probe_read_kernel(piece, WASHED_BYTES, 0);
	bpf_ringbuf_discard(piece, BPF_RB_NO_WAKEUP);
	++*washed;
	return 0;
}

SEC("syscall")
int note(struct note_context *ctx)
{
	struct note_loop loop = { .noted = ctx->noted };
	__u32 count = ctx->count, washed = 0;

	if (count == NOTE_WASH) {
		bpf_loop(WASHED_MAX, wash_one, &washed, 0);
		ctx->done = washed;
		return 0;
	}
	bpf_loop(count < NOTED_MAX ? count : NOTED_MAX, note_one, &loop, 0);
	ctx->done = loop.done;
	return 0;
}
