/* Makes the calls on a stack of two pages, the end of which is the end of its mapping. */
#include "calls.h"
#include <sys/mman.h>
#include <ucontext.h>

static ucontext_t outside, inside;

static void coroutine(void)
{
	all_calls();
	swapcontext(&inside, &outside);
}

int main(void)
{
	size_t size = 2 * 4096;
	/* There is nothing behind it. */
	char *memory = mmap(NULL, size + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(memory != MAP_FAILED && munmap(memory + size, 4096) == 0);
	must(getcontext(&inside) == 0);
	inside.uc_stack.ss_sp = memory;
	inside.uc_stack.ss_size = size;
	inside.uc_link = &outside;
	makecontext(&inside, coroutine, 0);
	must(swapcontext(&outside, &inside) == 0);
	return 0;
}
