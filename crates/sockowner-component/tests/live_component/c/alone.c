/* A program that makes all calls itself; in a second thread, too. */
#include "calls.h"
#include <pthread.h>

static void *thread(void *unused)
{
	all_calls();
	return unused;
}

int main(void)
{
	pthread_t t;
	all_calls();
	must(pthread_create(&t, NULL, thread, NULL) == 0 && pthread_join(t, NULL) == 0);
	return 0;
}
