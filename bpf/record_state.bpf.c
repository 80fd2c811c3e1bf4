// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The recorder's program at changes of a TCP socket's state: who listened, and which connections came in on it. These
 * are established while packets are received, whoever's turn it is at that time: the running process is nobody's.
 */
#include "recorder.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

static __always_inline void listens(struct sock *sk, __u64 now)
{
	__u64 cookie = bpf_get_socket_cookie(sk), process;
	struct socket_record *record;
	struct heritage *down;

	record = record_of(cookie, sk, sk, kind_of(sk->__sk_common.skc_family, IPPROTO_TCP, ORIGIN_OLDER), now, 0);
	if (!record)
		return;
	process = note_process(now);
	set_role(record, ROLE_LISTENER, process, EVIDENCE_CALL, now);
	/* A port is looked for after this. */
	if (!sk->__sk_common.skc_num)
		set_role(record, ROLE_BINDER, process, EVIDENCE_IMPLIED, now);
	down = bpf_sk_storage_get(&heritage, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!down) {
		count_dropped();
		return;
	}
	set_party(&down->listener, process, EVIDENCE_INHERITED, 0);
	if (evidence_of(&record->creator)) {
		down->creator.process = record->creator.process;
		down->creator.when = (record->creator.when & ((1 << WHEN_EVIDENCE) - 1)) |
				     (__u64)EVIDENCE_INHERITED << WHEN_EVIDENCE;
	}
	down->charged = record->charged;
	down->used = 0;
}

static __always_inline void is_established(struct sock *sk, __u64 now)
{
	struct heritage *from = bpf_sk_storage_get(&heritage, sk, 0, 0);
	__u32 kind = kind_of(sk->__sk_common.skc_family, IPPROTO_TCP, ORIGIN_CHILD);

	begin(bpf_get_socket_cookie(sk), sk, kind, now, from);
}

/* A connection that nobody accepted ends without a descriptor to be closed. */
static __always_inline void is_over(struct sock *sk, __u64 now)
{
	__u64 cookie = bpf_get_socket_cookie(sk);
	struct socket_record *record;

	record = bpf_map_lookup_elem(&sockets, &cookie);
	if (record && !record->closed)
		record->closed = now;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, struct sock *sk, int before, int after)
{
	__u64 now;

	if (after != TCP_LISTEN && after != TCP_CLOSE && !(before == TCP_SYN_RECV && after == TCP_ESTABLISHED))
		return 0;
	/* Of a socket that somebody has, or had, it is noted when he closes it. */
	if (after == TCP_CLOSE && (((struct sock___flags *)sk)->__sk_common.skc_flags & 1 << SOCK_DEAD ||
				   ((struct sock___noted *)sk)->sk_socket))
		return 0;
	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (!is_recorded(sk->__sk_common.skc_family, IPPROTO_TCP))
		return 0;
	count_event();
	now = bpf_ktime_get_boot_ns();
	if (after == TCP_LISTEN)
		listens(sk, now);
	else if (after == TCP_CLOSE)
		is_over(sk, now);
	else
		is_established(sk, now);
	return 0;
}
