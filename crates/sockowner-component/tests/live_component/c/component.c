/* A library that makes all calls itself. */
#include "calls.h"

void run(void);
void run(void)
{
	all_calls();
	__asm__ volatile("" ::: "memory");
}
