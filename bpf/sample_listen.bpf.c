// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The sampling program at changes of a TCP socket's state: whose code listened. */
#define WITH_MAPPINGS
#include "sampler.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(sample_listen, struct sock *sk, int before, int after)
{
	if (after != TCP_LISTEN || sk->sk_protocol != IPPROTO_TCP ||
	    !is_recorded(sk->__sk_common.skc_family, IPPROTO_TCP))
		return 0;
	tell(bpf_get_socket_cookie(sk), what_of(ROLE_LISTENER, CALL_LISTEN, EVIDENCE_CALL));
	return 0;
}
