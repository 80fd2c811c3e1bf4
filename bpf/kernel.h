/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The few fields of kernel structures that these programs read. Names and types are the kernel's (kernel sources:
 * include/linux/{sched,fs,pid,cgroup-defs,seq_file,cred}.h, include/net/sock.h); offsets are the running kernel's, put
 * in when the program is loaded (CO-RE), so neither order nor missing fields matter here.
 */
#pragma once

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef unsigned long size_t;
typedef _Bool bool;

enum { false, true };

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

/* include/uapi/linux/bpf.h */
enum {
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
};

/* include/linux/socket.h, include/uapi/linux/in.h */
enum {
	AF_INET = 2,
	AF_INET6 = 10,
	IPPROTO_TCP = 6,
	IPPROTO_UDP = 17,
	IPPROTO_MPTCP = 262,
};

/* include/linux/sched.h */
enum { PF_KTHREAD = 0x00200000 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	__u32 val;
} kuid_t;

struct cred {
	kuid_t euid;
};

struct super_block {
	__u32 s_dev;
};

struct inode {
	unsigned long i_ino;
	struct super_block *i_sb;
};

struct path {
	struct dentry *dentry;
};

struct file {
	struct inode *f_inode;
	struct path f_path;
	const struct cred *f_cred;
};

struct seq_file {
	const struct file *file;
};

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

struct pid_namespace {
	unsigned int level;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct kernfs_node {
	__u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct mm_struct {
	struct file *exe_file;
};

struct files_struct;

struct task_struct {
	unsigned int flags;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	__u64 start_boottime;
	const struct cred *real_cred;
	const struct cred *cred;
	char comm[16];
	struct mm_struct *mm;
	struct files_struct *files;
	struct css_set *cgroups;
};

struct in6_addr {
	__u8 s6_addr[16];
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned char skc_ipv6only : 1;
	int skc_bound_dev_if;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct sock_cgroup_data {
	struct cgroup *cgroup;
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
	kuid_t sk_uid;
	struct sock_cgroup_data sk_cgrp_data;
};

struct socket {
	struct sock *sk;
};

#pragma clang attribute pop

/* What an iterator is called with (kernel/bpf/task_iter.c): a fixed layout, not looked up. */
struct bpf_iter_meta {
	struct seq_file *seq __attribute__((aligned(8)));
	__u64 session_id;
	__u64 seq_num;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta __attribute__((aligned(8)));
	struct task_struct *task __attribute__((aligned(8)));
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta __attribute__((aligned(8)));
	struct task_struct *task __attribute__((aligned(8)));
	__u32 fd __attribute__((aligned(8)));
	struct file *file __attribute__((aligned(8)));
};

/*
 * What the recorder reads beside: further fields of the same structures. The part of a name from ___ on is not looked
 * up, so the types above, and with them the other programs' bytes, stay as they are.
 */

/* include/uapi/linux/bpf.h */
enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_SK_STORAGE = 24,
	BPF_F_NO_PREALLOC = 1,
	BPF_F_CLONE = 1 << 9,
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_SK_STORAGE_GET_F_CREATE = 1,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_AVAIL_DATA = 0,
	BPF_RB_RING_SIZE = 1,
};

/* include/linux/mm.h, include/linux/fs.h */
enum {
	VM_EXEC = 4,
	FMODE_NOACCOUNT = 1 << 29,
};

/* include/net/tcp_states.h */
enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_RECV = 3,
	TCP_CLOSE = 7,
	TCP_LISTEN = 10,
};

/* include/uapi/asm-generic/errno-base.h */
enum { EEXIST = 17 };

/* include/linux/sched.h: a thread that ends; threads of a process that have no user registers of their own */
enum {
	PF_EXITING = 0x00000004,
	PF_IO_WORKER = 0x00000010,
	PF_USER_WORKER = 0x00004000,
};

/* A program's context, of a fixed layout (include/uapi/linux/bpf.h). */
struct bpf_sock {
	__u32 bound_dev_if;
	__u32 family;
	__u32 type;
	__u32 protocol;
	__u32 mark;
	__u32 priority;
	__u32 src_ip4;
	__u32 src_ip6[4];
	__u32 src_port;
	__be16 dst_port;
	__u16 padding;
	__u32 dst_ip4;
};

struct bpf_sock_addr {
	__u32 user_family;
	__u32 user_ip4;
	__u32 user_ip6[4];
	__u32 user_port;
	__u32 family;
	__u32 type;
	__u32 protocol;
	__u32 msg_src_ip4;
	__u32 msg_src_ip6[4];
	struct bpf_sock *sk __attribute__((aligned(8)));
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct cred___noted {
	kuid_t uid;
	kuid_t euid;
	kuid_t suid;
};

struct vfsmount___noted {
	struct dentry___noted *mnt_root;
	struct super_block *mnt_sb;
};

struct mount___noted {
	struct mount___noted *mnt_parent;
	struct dentry___noted *mnt_mountpoint;
	struct vfsmount___noted mnt;
};

struct qstr___noted {
	__u64 hash_len;
	const unsigned char *name;
};

struct dentry___noted {
	struct inode___noted *d_inode;
	struct dentry___noted *d_parent;
	struct qstr___noted d_name;
	struct super_block *d_sb;
};

struct path___noted {
	struct vfsmount___noted *mnt;
	struct dentry___noted *dentry;
};

struct inode___noted {
	unsigned long i_ino;
	unsigned int i_nlink;
	struct super_block *i_sb;
};

struct file___noted {
	unsigned int f_mode;
	struct inode___noted *f_inode;
	struct path___noted f_path;
};

/* A file on whose behalf another is used: overlayfs's, since Linux 6.5. */
struct backing_file___noted {
	struct path___noted user_path;
};

struct vm_area_struct___noted {
	unsigned long vm_start;
	unsigned long vm_end;
	unsigned long vm_flags;
	unsigned long vm_pgoff;
	struct file___noted *vm_file;
};

/* Until Linux 6.17 the flags are one number. */
struct mm_struct___noted {
	struct file___noted *exe_file;
	unsigned long flags;
};

typedef struct {
	unsigned long __mm_flags[1];
} mm_flags_t;

struct mm_struct___bitmap {
	mm_flags_t flags;
};

struct pid_namespace___noted {
	struct ns_common ns;
};

struct upid___noted {
	int nr;
	struct pid_namespace___noted *ns;
};

struct task_struct___noted {
	unsigned int flags;
	int pid;
	int tgid;
	struct task_struct___noted *group_leader;
	struct pid *thread_pid;
	__u64 start_boottime;
	const struct cred___noted *real_cred;
	char comm[16];
	struct mm_struct___noted *mm;
	__u64 self_exec_id;
};

/* Since Linux 6.13: how many have the file, but for one. */
typedef struct {
	__s64 counter;
} counter___counted;

typedef struct {
	counter___counted refcnt;
} file_ref_t;

struct file___counted {
	file_ref_t f_ref;
};

struct socket___noted {
	struct file___counted *file;
};

struct sock___noted {
	__u8 sk_kern_sock : 1;
	struct socket___noted *sk_socket;
};

struct sock_common___flags {
	unsigned long skc_flags;
};

struct sock___flags {
	struct sock_common___flags __sk_common;
};

/* enum sock_flags: nobody has it any more */
#define SOCK_DEAD 0

struct inet_sock {
	struct sock sk;
	__be16 inet_sport;
};

struct pt_regs {
	unsigned long bp;
	unsigned long bx;
	unsigned long orig_ax;
	unsigned long ip;
	__u16 cs;
	unsigned long sp;
};

#pragma clang attribute pop
