/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * How a call is sampled: the registers and the nearest stack of the thread that makes it, and which files the code is
 * of that these name. It goes into a ring buffer that nobody has but the process that loaded this: when that ends, so
 * do these programs, and with them what they took.
 *
 * They run behind the recorder's programs, and take the role from the record: what is told is about just this call.
 */
#pragma once

#include "recorder.h"
#include "sample.h"

/* Of the size that the loader says. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);
} samples SEC(".maps");

/* The call sites that the user part knows. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct site_key);
	__type(value, struct known_sites);
} known SEC(".maps");

ONE(sample_counts, BPF_MAP_TYPE_ARRAY, struct sample_counters);

/* Of users whose samples fill the ring buffer. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct turn);
} turns SEC(".maps");

/* Three numbers as one, as with kind_of. */
static __always_inline __u32 what_of(enum role role, enum call call, enum evidence evidence)
{
	return role | call << 8 | evidence << 16;
}

/*
 * Everybody's calls are sampled as long as the ring buffer is not half full; from there on each user has some in a short
 * time, so that none displaces another's.
 */
static __noinline bool has_turn(__u64 now)
{
	struct turn first = { .time = now >> TURN, .taken = 1 };
	__u32 user = bpf_get_current_uid_gid();
	struct turn *its;

	if (bpf_ringbuf_query(&samples, BPF_RB_AVAIL_DATA) < bpf_ringbuf_query(&samples, BPF_RB_RING_SIZE) / 2)
		return true;
	its = bpf_map_lookup_elem(&turns, &user);
	if (its && its->time == first.time)
		return __sync_fetch_and_add(&its->taken, 1) < TURN_SAMPLES;
	bpf_map_update_elem(&turns, &user, &first, BPF_ANY);
	return true;
}

/*
 * A role that was set in this very call: by this thread, and no more than 134 ms ago. Where the recorder's program was
 * attached anew it runs behind this one, and changes when: then nobody's record is that of the sample.
 */
static __always_inline bool is_of_this_call(const struct socket_record *record, __u64 when, enum evidence evidence,
					    __u64 now)
{
	__u64 thread = bpf_get_current_pid_tgid() & ((1 << WHEN_EVIDENCE) - 1);
	__u64 since = (now - record->created) >> WHEN_UNIT;

	return (when & ((1 << WHEN_EVIDENCE) - 1)) == thread && (when >> WHEN_EVIDENCE & 15) == evidence &&
	       since - (when >> WHEN_AFTER) < 1 << 13;
}

/* The call that a system call's number stands for, in 64-bit or 32-bit programs; their numbers differ. */
static __always_inline enum call call_of(unsigned long number, unsigned long which)
{
	/* socketcall(2) */
	if (number == 102)
		return which == 2 ? CALL_BIND : which == 3 ? CALL_CONNECT : which == 4 ? CALL_LISTEN :
		       which == 5 ? CALL_ACCEPT : which == 18 ? CALL_ACCEPT4 : CALL_OTHER;
	return number == 49 || number == 361 ? CALL_BIND :
	       number == 42 || number == 362 ? CALL_CONNECT :
	       number == 50 || number == 363 ? CALL_LISTEN :
	       number == 43 ? CALL_ACCEPT :
	       number == 288 || number == 364 ? CALL_ACCEPT4 : CALL_OTHER;
}

/* All of it is written here: what the ring buffer gives held something else before. */
static __noinline void take(struct sample *it, __u64 cookie, __u32 what)
{
	struct task_struct___noted *task = (void *)bpf_get_current_task_btf();
	__u64 both = bpf_get_current_pid_tgid();
	struct pt_regs *regs;
	unsigned long number;

	it->cookie = cookie;
	it->start = BPF_CORE_READ(task, group_leader, start_boottime);
	it->ip = 0;
	it->sp = 0;
	it->bp = 0;
	it->tgid = both >> 32;
	it->tid = both;
	it->uid = bpf_get_current_uid_gid();
	it->role = what;
	it->call = what >> 8;
	it->traits = 0;
	it->mappings = 0;
	it->stack_length = 0;
	it->zero = 0;
	if (task->flags & (PF_IO_WORKER | PF_USER_WORKER)) {
		it->traits = SAMPLE_WORKER;
		return;
	}
	regs = (struct pt_regs *)bpf_task_pt_regs((void *)task);
	/* But for the mark of x32. */
	number = regs->orig_ax & ~0x40000000ul;
	if (number == 426)
		it->traits = SAMPLE_IO_URING;
	else
		it->call = call_of(number, regs->bx);
	/* __USER32_CS */
	if (regs->cs == 0x23)
		it->traits |= SAMPLE_COMPAT;
	it->ip = regs->ip;
	it->sp = regs->sp;
	it->bp = regs->bp;
	/* The stack may end before. */
	if (!bpf_probe_read_user(it->stack, 512, (void *)it->sp))
		it->stack_length = 512;
	else if (!bpf_probe_read_user(it->stack, 256, (void *)it->sp))
		it->stack_length = 256;
	else if (!bpf_probe_read_user(it->stack, 128, (void *)it->sp))
		it->stack_length = 128;
	else if (!bpf_probe_read_user(it->stack, 64, (void *)it->sp))
		it->stack_length = 64;
}

#ifdef WITH_MAPPINGS

/* Where a search for code has come to. */
struct search {
	struct mapped_sample *it;
	__u64 address;
	/* The stack, and where there was no code the last time. */
	__u64 stack_start;
	__u64 stack_end;
	__u64 other_start;
	__u64 other_end;
};

/*
 * As the process has opened it. Of a file on another's behalf that is the other's path; which bit says so has changed, but
 * such files are among those that are not counted, and others of these are the kernel's own.
 */
static __always_inline struct path___noted *path_of(struct file___noted *file)
{
	struct path___noted *path;
	struct super_block *block;

	if (bpf_core_type_exists(struct backing_file___noted) && file->f_mode & FMODE_NOACCOUNT) {
		path = (void *)file + bpf_core_field_offset(struct backing_file___noted, user_path);
		block = BPF_CORE_READ(path, dentry, d_sb);
		if (block && block == BPF_CORE_READ(path, mnt, mnt_sb))
			return path;
	}
	return (void *)file + bpf_core_field_offset(struct file___noted, f_path);
}

static __noinline __u64 note_file(struct path___noted *path, __u64 inode, __u32 device, __u32 user)
{
	return note_path(path, inode, device, user);
}

/* All but the file's path, which it returns: as /proc/PID/maps has it. */
static __always_inline struct path___noted *describe(struct vm_area_struct___noted *area, struct file___noted *file,
						     struct sample_mapping *at)
{
	struct path___noted *path = path_of(file);
	struct inode___noted *inode;

	at->start = area->vm_start;
	at->end = area->vm_end;
	at->offset = area->vm_pgoff << 12;
	if ((void *)path == (void *)file + bpf_core_field_offset(struct file___noted, f_path)) {
		inode = file->f_inode;
		at->inode = inode->i_ino;
		at->device = inode->i_sb->s_dev;
		at->deleted = !inode->i_nlink;
	} else {
		inode = BPF_CORE_READ(path, dentry, d_inode);
		at->inode = BPF_CORE_READ(inode, i_ino);
		at->device = BPF_CORE_READ(inode, i_sb, s_dev);
		at->deleted = !BPF_CORE_READ(inode, i_nlink);
	}
	at->path = 0;
	return path;
}

static long note_mapping(struct task_struct *task, struct vm_area_struct___noted *area, struct search *search)
{
	struct mapped_sample *it = search->it;
	__u64 start = area->vm_start, end = area->vm_end;
	struct file___noted *file = area->vm_file;
	struct sample_mapping *at;
	struct path___noted *path;
	__u32 index = it->sample.mappings;

	if (start <= it->sample.sp && it->sample.sp < end) {
		search->stack_start = start;
		search->stack_end = end;
	}
	if (!file || !(area->vm_flags & VM_EXEC)) {
		search->other_start = start;
		search->other_end = end;
		return 0;
	}
	if (index >= MAPPINGS_MAX)
		return 0;
	at = &it->mappings[index];
	path = describe(area, file, at);
	at->path = note_file(path, at->inode, at->device, it->sample.uid);
	it->sample.mappings = index + 1;
	return 0;
}

/* Whether an address is nowhere that was looked at before. */
static __noinline bool is_new(struct search *search)
{
	struct mapped_sample *it = search->it;
	__u64 address = search->address;

	/* Neither a small number nor one that no address has. */
	if (address < 0x10000 || address >> 56)
		return false;
	if (search->stack_start <= address && address < search->stack_end)
		return false;
	if (search->other_start <= address && address < search->other_end)
		return false;
#pragma unroll
	for (__u32 i = 0; i < MAPPINGS_MAX; i++)
		if (i < it->sample.mappings && it->mappings[i].start <= address && address < it->mappings[i].end)
			return false;
	return true;
}

/* The stack pointer first, so that the stack is known; then the instruction, then the stack's words. */
static long look_at(__u32 index, struct search *search)
{
	struct mapped_sample *it = search->it;
	/* As one number for the verifier, which is to believe the test. */
	__u64 offset = (__u64)index * 8;

	barrier_var(offset);
	if (index == 0) {
		search->address = it->sample.sp;
	} else if (index == 1) {
		search->address = it->sample.ip;
	} else {
		if (offset > STACK_ROOM + 8 || offset >= it->sample.stack_length + 16)
			return 1;
		search->address = *(__u64 *)(it->sample.stack - 16 + offset);
	}
	if (is_new(search))
		bpf_find_vma(bpf_get_current_task_btf(), search->address, note_mapping, search, 0);
	return it->sample.mappings >= MAPPINGS_MAX;
}

static __always_inline void find_mappings(struct mapped_sample *it)
{
	struct search search = { .it = it };

	it->sample.traits |= SAMPLE_MAPPED;
	if (it->sample.ip)
		bpf_loop(2 + STACK_ROOM / 8, look_at, &search, 0);
}

/* The address in code by which a call site is known, that is being made a call from; 0 where it is none. */
static __noinline __u64 known_site(__u64 process)
{
	struct task_struct___noted *task = (void *)bpf_get_current_task_btf();
	struct site_key key = { .process = process };
	struct known_sites *known_here;
	struct pt_regs *regs;

	/* Its registers are nobody's. */
	if (task->flags & (PF_IO_WORKER | PF_USER_WORKER))
		return 0;
	regs = (struct pt_regs *)bpf_task_pt_regs((void *)task);
	key.ip = regs->ip;
	known_here = bpf_map_lookup_elem(&known, &key);
	if (!known_here)
		return 0;
#pragma unroll
	for (__u32 i = 0; i < SITES_MAX; i++) {
		struct site *site = &known_here->sites[i];
		__u64 word = site->word, held = 0;

		if (!word)
			break;
		if (site->slot == SLOT_IP)
			return key.ip;
		bpf_probe_read_user(&held, sizeof(held), (void *)(regs->sp + site->slot));
		/* Of the call, behind which it returns. */
		if (held == word)
			return word - 1;
	}
	return 0;
}

struct site_search {
	struct sample_mapping *at;
	__u64 found;
};

static long note_site(struct task_struct *task, struct vm_area_struct___noted *area, struct site_search *search)
{
	struct file___noted *file = area->vm_file;

	if (!file || !(area->vm_flags & VM_EXEC))
		return 0;
	describe(area, file, search->at);
	search->found = 1;
	return 0;
}

/* Whether a piece of a file is executed there. */
static __noinline bool find_site(struct sample_mapping *at, __u64 address)
{
	struct site_search search = { .at = at };

	bpf_find_vma(bpf_get_current_task_btf(), address, note_site, &search, 0);
	return search.found;
}

#endif

static __always_inline void count_lost(void)
{
	struct sample_counters *counts = LOOKUP_ONE(sample_counts);

	if (counts)
		__sync_fetch_and_add(&counts->lost, 1);
}

static __always_inline void complete(struct sample *it, __u64 process, __u64 when, __u64 binder_when, __u64 now)
{
	it->time = now;
	it->process = process;
	it->when = when;
	it->binder_when = binder_when;
}

/* Tells of the call by which a socket's role was just set, if one was. */
static __noinline long tell(__u64 cookie, __u32 what)
{
	struct socket_record *record = bpf_map_lookup_elem(&sockets, &cookie);
	struct sample_counters *counts = LOOKUP_ONE(sample_counts);
	__u64 now = bpf_ktime_get_boot_ns(), process, when, binder_when = 0;
	enum role role = what & 255;
	struct party *party;
#ifdef WITH_MAPPINGS
	struct mapped_sample *it;
	__u64 site;
#else
	struct sample *it;
#endif

	if (!record || !counts)
		return 0;
	party = party_of(record, role);
	process = party->process;
	when = party->when;
	if (!process || !is_of_this_call(record, when, what >> 16, now))
		return 0;
	if (role == ROLE_LISTENER && record->binder.process == process &&
	    is_of_this_call(record, record->binder.when, EVIDENCE_IMPLIED, now))
		binder_when = record->binder.when;
	__sync_fetch_and_add(&counts->made, 1);
	if (!has_turn(now)) {
		count_lost();
		return 0;
	}
#ifdef WITH_MAPPINGS
	site = known_site(process);
	if (site) {
		struct site_sample *known_one = bpf_ringbuf_reserve(&samples, sizeof(*known_one), 0);

		if (!known_one) {
			count_lost();
			return 0;
		}
		if (find_site(&known_one->mapping, site)) {
			take(&known_one->sample, cookie, what);
			complete(&known_one->sample, process, when, binder_when, now);
			known_one->sample.traits |= SAMPLE_SITE;
			bpf_ringbuf_submit(known_one, BPF_RB_NO_WAKEUP);
			return 0;
		}
		bpf_ringbuf_discard(known_one, BPF_RB_NO_WAKEUP);
	}
#endif
	it = bpf_ringbuf_reserve(&samples, sizeof(*it), 0);
	if (!it) {
		count_lost();
		return 0;
	}
#ifdef WITH_MAPPINGS
	take(&it->sample, cookie, what);
	complete(&it->sample, process, when, binder_when, now);
	find_mappings(it);
#else
	take(it, cookie, what);
	complete(it, process, when, binder_when, now);
#endif
	bpf_ringbuf_submit(it, BPF_RB_NO_WAKEUP);
	return 0;
}
