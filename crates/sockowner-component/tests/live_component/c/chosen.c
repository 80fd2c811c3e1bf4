/* A function that is chosen when the library is loaded, and makes the call by what it was given. */
#include "calls.h"

static int yes(int s)
{
	int result = listen(s, 1);
	__asm__ volatile("" ::: "memory");
	return result;
}

static int (*choose(void))(int)
{
	return yes;
}

int chosen(int) __attribute__((ifunc("choose")));

void run(void);
void run(void)
{
	must(chosen(new_socket()) == 0);
	__asm__ volatile("" ::: "memory");
}
