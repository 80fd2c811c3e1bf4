// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The recorder's programs at each send and receive, which are asked for expressly, as they cost something there: who
 * first used a connection that was accepted without asking for the peer's address.
 */
#include "recorder.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

static __always_inline int is_used(struct sock *sk)
{
	struct socket_record *record;
	struct heritage *mark;
	__u64 now, cookie;

	if (sk->sk_protocol != IPPROTO_TCP || !is_recorded(sk->__sk_common.skc_family, IPPROTO_TCP))
		return 0;
	mark = bpf_sk_storage_get(&heritage, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!mark || mark->used)
		return 0;
	mark->used = 1;
	count_event();
	cookie = bpf_get_socket_cookie(sk);
	record = bpf_map_lookup_elem(&sockets, &cookie);
	if (!record || record->origin != ORIGIN_CHILD || evidence_of(&record->acceptor))
		return 0;
	now = bpf_ktime_get_boot_ns();
	set_role(record, ROLE_ACCEPTOR, note_process(now), EVIDENCE_FIRST_USER, now);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(sock_recv_length, struct sock *sk, int length, int flags)
{
	return is_used(sk);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(sock_send_length, struct sock *sk, int length, int flags)
{
	return is_used(sk);
}
