/* A program that loads the library it is given, and has it make the calls in the main and in a second thread.
   With "deleted" the library is gone by then, with "replaced" another file has its name. */
#include "calls.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>

static void (*run)(void);

static void *thread(void *unused)
{
	run();
	return unused;
}

int main(int count, char **arguments)
{
	pthread_t t;
	must(count > 1);
	void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
	must(library != NULL);
	*(void **)&run = dlsym(library, "run");
	must(run != NULL);
	if (count > 2)
		must(unlink(arguments[1]) == 0);
	if (count > 2 && strcmp(arguments[2], "replaced") == 0)
		must(close(open(arguments[1], O_CREAT | O_WRONLY, 0644)) == 0);
	run();
	must(pthread_create(&t, NULL, thread, NULL) == 0 && pthread_join(t, NULL) == 0);
	return 0;
}
