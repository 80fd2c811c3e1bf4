/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the recorder keeps of the calling process: who it is, for whom it works, which file it runs. */
#pragma once

#include "recorder_maps.h"

/* A number that differs where any of what goes in differs; what is found by it is compared all the same. */
static __always_inline __u64 mix(__u64 sum, __u64 number)
{
	sum = (sum ^ number) * 0x9e3779b97f4a7c15ull;
	return sum ^ sum >> 32;
}

/* On the way from a file to the root of its mounts. */
struct way {
	struct dentry___noted *at;
	struct mount___noted *mount;
	struct walk_record *into;
	__u64 sum;
	__u32 length;
	bool whole;		/* the end was met, and every name until there was had */
};

/* Goes one step up; true where that met the end, so that it is whole. Where there is a name, it is left in *name. */
static __always_inline bool step_up(struct way *way, struct dentry___noted **name)
{
	struct dentry___noted *at = way->at, *parent;
	struct mount___noted *mount = way->mount, *outer;

	*name = 0;
	if (at == BPF_CORE_READ(mount, mnt.mnt_root)) {
		outer = BPF_CORE_READ(mount, mnt_parent);
		if (outer == mount)
			return way->whole = true;
		way->at = BPF_CORE_READ(mount, mnt_mountpoint);
		way->mount = outer;
		return false;
	}
	parent = BPF_CORE_READ(at, d_parent);
	/* Of a file system that is not mounted. */
	if (parent == at)
		return way->whole = true;
	*name = at;
	way->at = parent;
	return false;
}

static long sum_name(__u32 index, struct way *way)
{
	struct dentry___noted *name;

	if (step_up(way, &name))
		return 1;
	if (name)
		way->sum = mix(mix(way->sum, (__u64)name), BPF_CORE_READ(name, d_name.hash_len));
	return 0;
}

static long keep_name(__u32 index, struct way *way)
{
	struct walk_record *into = way->into;
	struct dentry___noted *name;
	__u32 length = way->length;
	long copied;

	if (step_up(way, &name))
		return 1;
	if (!name)
		return 0;
	if (length >= PATH_ROOM)
		return 1;
	copied = bpf_probe_read_kernel_str(into->kept.parts + length, NAME_ROOM, BPF_CORE_READ(name, d_name.name));
	/* Some file systems have names for which there is no room. */
	if (copied <= 0 || (__u64)copied - 1 != BPF_CORE_READ(name, d_name.hash_len) >> 32)
		return 1;
	way->length = length + copied;
	return 0;
}

static __always_inline struct way way_from(struct path___noted *path)
{
	struct way way = {};

	way.at = BPF_CORE_READ(path, dentry);
	way.mount = (void *)BPF_CORE_READ(path, mnt) - bpf_core_field_offset(struct mount___noted, mnt);
	return way;
}

/* Keeps the path, and returns its key; 0 where that cannot be done. */
static __always_inline __u64 note_path(struct path___noted *path, __u64 inode, __u32 device, __u32 user)
{
	struct executable_record *known;
	__u64 thread = bpf_get_current_pid_tgid(), key;
	__u32 now = bpf_ktime_get_boot_ns() / 1000000000;
	struct way way = way_from(path);
	struct walk_record *work;

	way.sum = mix(inode, device);
	bpf_loop(DEPTH_MAX, sum_name, &way, 0);
	/* What is told of a path in part would be another file's. */
	if (!way.whole)
		return 0;
	key = way.sum ? way.sum : 1;
	known = bpf_map_lookup_elem(&executables, &key);
	if (known) {
		if (known->inode != inode || known->device != device)
			return 0;
		if (known->seen != now)
			known->seen = now;
		return key;
	}
	if (!has_share(user, TABLE_EXECUTABLES))
		return 0;
	work = LOOKUP_ONE(blank);
	if (!work || bpf_map_update_elem(&walks, &thread, work, BPF_ANY))
		return 0;
	work = bpf_map_lookup_elem(&walks, &thread);
	if (!work)
		return 0;
	way = way_from(path);
	way.into = work;
	bpf_loop(DEPTH_MAX, keep_name, &way, 0);
	work->kept.inode = inode;
	work->kept.device = device;
	work->kept.charged = user;
	work->kept.seen = now;
	if (way.whole && way.length <= PATH_ROOM) {
		work->kept.length = way.length;
		if (!bpf_map_update_elem(&executables, &key, &work->kept, BPF_NOEXIST))
			charge(user, TABLE_EXECUTABLES);
	} else {
		key = 0;
	}
	bpf_map_delete_elem(&walks, &thread);
	return key;
}

static __always_inline bool is_dumpable(struct mm_struct___noted *mm)
{
	struct mm_struct___bitmap *newer = (void *)mm;
	unsigned long flags;

	if (bpf_core_field_exists(newer->flags.__mm_flags))
		flags = BPF_CORE_READ(newer, flags.__mm_flags[0]);
	else
		flags = BPF_CORE_READ(mm, flags);
	/* MMF_DUMPABLE_MASK, SUID_DUMP_USER (include/linux/sched/coredump.h) */
	return (flags & 3) == 1;
}

/* Its number in the namespace at a level, of which 0 is the initial one. */
static __always_inline void number_at(struct process_record *facts, struct pid *pid, unsigned int level)
{
	struct upid___noted upid = {};

	if (BPF_CORE_READ(pid, level) < level)
		return;
	bpf_core_read(&upid, bpf_core_type_size(struct upid),
		      (void *)pid + bpf_core_field_offset(struct pid, numbers) +
			      level * bpf_core_type_size(struct upid));
	facts->numbers[level - 1].namespace = BPF_CORE_READ(upid.ns, ns.inum);
	facts->numbers[level - 1].pid = upid.nr;
}

static __always_inline void number_process(struct process_record *facts, struct pid *pid)
{
	number_at(facts, pid, 1);
	number_at(facts, pid, 2);
	number_at(facts, pid, 3);
	number_at(facts, pid, 4);
	number_at(facts, pid, 5);
}

static __always_inline bool is_same(const struct process_record *one, const struct process_record *other)
{
	return one->start == other->start && one->tgid == other->tgid && one->image == other->image &&
	       one->uid == other->uid && one->euid == other->euid && one->suid == other->suid &&
	       one->cgroup == other->cgroup && !((one->traits ^ other->traits) & TRAIT_DUMPABLE);
}

/* Where a process is kept, which is left in *key, or 0: then *key is where it is to be, or 0 where others are. */
static __noinline struct process_record *find_process(const struct process_record *facts, __u64 *key)
{
	struct process_record *known;
	__u64 sum;

	sum = mix(mix(facts->start, facts->tgid), (__u64)facts->image << 32 | facts->uid);
	sum = mix(mix(sum, (__u64)facts->euid << 32 | facts->suid), facts->cgroup ^ (__u64)facts->traits << 63);
	*key = sum ? sum : 1;
	known = bpf_map_lookup_elem(&processes, key);
	if (!known || is_same(known, facts))
		return known;
	*key = mix(*key, *key);
	known = bpf_map_lookup_elem(&processes, key);
	if (!known || is_same(known, facts))
		return known;
	*key = 0;
	return 0;
}

/* Keeps what the calling process is, and returns its key; 0 where there is no room. */
static __noinline __attribute__((unused)) __u64 note_process(__u64 now)
{
	struct task_struct___noted *task = (void *)bpf_get_current_task_btf();
	struct task_struct___noted *leader = task->group_leader;
	struct mm_struct___noted *mm = task->mm;
	struct process_record facts = {};
	const struct cred___noted *cred = task->real_cred;
	struct process_record *known;
	struct file___noted *exe;
	__u64 key;

	facts.start = leader->start_boottime;
	facts.seen = now;
	facts.cgroup = bpf_get_current_cgroup_id();
	facts.tgid = task->tgid;
	facts.image = task->self_exec_id;
	facts.uid = cred->uid.val;
	facts.euid = cred->euid.val;
	facts.suid = cred->suid.val;
	facts.charged = facts.uid;
	if (mm && is_dumpable(mm))
		facts.traits = TRAIT_DUMPABLE;
	known = find_process(&facts, &key);
	/*
	 * A process that ends gives up its memory before its descriptors: what is not seen any more is taken from what was
	 * noted of the same image.
	 */
	if (!mm && task->flags & PF_EXITING && !(known && known->inode)) {
		facts.traits = TRAIT_DUMPABLE;
		known = find_process(&facts, &key);
		if (!known) {
			facts.traits = 0;
			known = find_process(&facts, &key);
		}
	}
	if (!key)
		goto full;
	if (known) {
		/* Seldom: what is written at each call goes from processor to processor. */
		if (now - known->seen > 1000000000)
			known->seen = now;
		return key;
	}
	if (!has_share(facts.uid, TABLE_PROCESSES))
		goto full;
	if (task->flags & PF_KTHREAD)
		facts.traits |= TRAIT_KERNEL;
	BPF_CORE_READ_STR_INTO(&facts.comm, leader, comm);
	number_process(&facts, leader->thread_pid);
	exe = mm ? mm->exe_file : 0;
	if (exe && !(task->flags & PF_KTHREAD)) {
		facts.inode = exe->f_inode->i_ino;
		facts.device = exe->f_inode->i_sb->s_dev;
		if (!exe->f_inode->i_nlink)
			facts.traits |= TRAIT_DELETED;
		facts.path = note_path(&exe->f_path, facts.inode, facts.device, facts.uid);
	}
	if (!bpf_map_update_elem(&processes, &key, &facts, BPF_NOEXIST)) {
		charge(facts.uid, TABLE_PROCESSES);
		return key;
	}
	/* Another thread of it may have been faster. */
	known = bpf_map_lookup_elem(&processes, &key);
	if (known && is_same(known, &facts))
		return key;
full:
	count_dropped();
	return 0;
}
