// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The same for kernels whose cgroup programs may not look for a mapping (6.1). */
#define WITHOUT_MAPPINGS
#include "sample.bpf.c"
