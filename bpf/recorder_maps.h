/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The recorder's maps, and who may have how much of them. Each object that includes this declares all of them, in this
 * order; the loader has the second object use the first one's. (The order is lost where a program names a map itself
 * before any inline function does: the compiler puts that first.)
 *
 * Programs may be preempted by others on the same processor, so nothing is prepared in memory that belongs to one.
 */
#pragma once

#include <bpf/bpf_endian.h>
#include "kernel.h"
#include "record.h"

#define SOCKETS_MAX 131072
#define PROCESSES_MAX 20480
#define EXECUTABLES_MAX 1024
#define USERS_MAX 4096
#define COMPONENTS_MAX 4096
#define MODULES_MAX 1024
/* So many levels of directories and mounts are followed. */
#define DEPTH_MAX 64
#define NAME_ROOM 256

/* A path while it is put together: one name more than is kept. */
struct walk_record {
	struct executable_record kept;
	__u8 beyond[NAME_ROOM];
};

#define RECORDS(name_, key_, value_, max_, flags_)			\
	struct {							\
		__uint(type, BPF_MAP_TYPE_HASH);			\
		__uint(map_flags, flags_);				\
		__uint(max_entries, max_);				\
		__type(key, key_);					\
		__type(value, value_);					\
	} name_ SEC(".maps")

#define ONE(name_, type_, value_)					\
	struct {							\
		__uint(type, type_);					\
		__uint(max_entries, 1);					\
		__type(key, __u32);					\
		__type(value, value_);					\
	} name_ SEC(".maps")

/* Its memory is taken at once: to allocate each costs half as much again, in every socket(2) and accept(2). */
RECORDS(sockets, __u64, struct socket_record, SOCKETS_MAX, 0);
RECORDS(processes, __u64, struct process_record, PROCESSES_MAX, BPF_F_NO_PREALLOC);
RECORDS(executables, __u64, struct executable_record, EXECUTABLES_MAX, BPF_F_NO_PREALLOC);
RECORDS(users, __u32, struct holding, USERS_MAX, BPF_F_NO_PREALLOC);
/* Written by the user part alone. */
RECORDS(users_removed, __u32, struct holding, USERS_MAX, BPF_F_NO_PREALLOC);
/* Keyed by thread: each has one path in work at most. */
RECORDS(walks, __u64, struct walk_record, 256, BPF_F_NO_PREALLOC);
ONE(blank, BPF_MAP_TYPE_ARRAY, struct walk_record);
ONE(total, BPF_MAP_TYPE_ARRAY, struct holding);
/* Written by the user part alone. */
ONE(total_removed, BPF_MAP_TYPE_ARRAY, struct holding);
ONE(settings, BPF_MAP_TYPE_ARRAY, struct settings);
ONE(counters, BPF_MAP_TYPE_PERCPU_ARRAY, struct counters);

/* Written by the user part alone. */
RECORDS(components, __u32, struct component_record, COMPONENTS_MAX, BPF_F_NO_PREALLOC);
RECORDS(modules, __u32, struct module_record, MODULES_MAX, BPF_F_NO_PREALLOC);

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct heritage);
} heritage SEC(".maps");

/* The element of a map that has one. A constant would be another map. */
#define LOOKUP_ONE(map_)						\
	({								\
		__u32 only_ = 0;					\
		bpf_map_lookup_elem(&map_, &only_);			\
	})

static __always_inline void count_event(void)
{
	struct counters *here = LOOKUP_ONE(counters);

	/* Who was preempted here would put back what it was. */
	if (here)
		__sync_fetch_and_add(&here->events, 1);
}

static __always_inline void count_dropped(void)
{
	struct counters *here = LOOKUP_ONE(counters);

	/* What runs in an interrupt counts here too. */
	if (here)
		__sync_fetch_and_add(&here->dropped, 1);
}

/* The user that an entry is charged to: this one, or what stands for all that do not fit in. */
static __noinline __u32 account_of(__u32 user)
{
	struct holding none = {};
	__u32 others = NO_USER;

	if (bpf_map_lookup_elem(&users, &user))
		return user;
	bpf_map_update_elem(&users, &user, &none, BPF_NOEXIST);
	if (bpf_map_lookup_elem(&users, &user))
		return user;
	bpf_map_update_elem(&users, &others, &none, BPF_NOEXIST);
	return others;
}

/* One field of struct holding, of which room entries fit into a table. */
enum table { TABLE_SOCKETS, TABLE_PROCESSES, TABLE_EXECUTABLES };

static __always_inline __u64 *field(struct holding *of, enum table table)
{
	return table == TABLE_SOCKETS ? &of->sockets :
	       table == TABLE_PROCESSES ? &of->processes : &of->executables;
}

/*
 * Whether a user may have one entry more: everybody until a table is half full, from there on who has no more than a
 * quarter of it. Two programs at once may go one beyond. The entry is to be charged if it is made.
 */
static __noinline bool has_share(__u32 user, enum table table)
{
	struct settings *set = LOOKUP_ONE(settings);
	struct holding *all = LOOKUP_ONE(total);
	struct holding *less = LOOKUP_ONE(total_removed);
	struct holding *its;
	__u64 room, held;

	if (!set || !all || !less)
		return false;
	room = table == TABLE_SOCKETS ? set->sockets :
	       table == TABLE_PROCESSES ? set->processes : set->executables;
	held = *field(all, table) - *field(less, table);
	if (held < room / 2)
		return true;
	user = account_of(user);
	its = bpf_map_lookup_elem(&users, &user);
	if (!its)
		return false;
	held = *field(its, table);
	less = bpf_map_lookup_elem(&users_removed, &user);
	if (less)
		held -= *field(less, table);
	/* Less than nothing where an entry was charged just when the user part removed the user. */
	return (__s64)held <= (__s64)(room / 4);
}

static __noinline void charge(__u32 user, enum table table)
{
	struct holding *all = LOOKUP_ONE(total);
	struct holding *its = bpf_map_lookup_elem(&users, &user);

	if (!its) {
		user = account_of(user);
		its = bpf_map_lookup_elem(&users, &user);
	}
	if (all)
		__sync_fetch_and_add(field(all, table), 1);
	if (its)
		__sync_fetch_and_add(field(its, table), 1);
}
