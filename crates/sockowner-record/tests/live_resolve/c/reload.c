/* A program that loads the first library it is given and has it make the calls, and then, without it, the second one; with
   "overwrite" the second one has been written into the first one's file. */
#include "../../../../sockowner-component/tests/live_component/c/calls.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>

static void run(const char *path)
{
	void (*run)(void);
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	must(library != NULL);
	*(void **)&run = dlsym(library, "run");
	must(run != NULL);
	run();
	must(dlclose(library) == 0);
}

static void overwrite(const char *path, const char *with)
{
	static char content[1 << 20];
	int from = open(with, O_RDONLY), to = open(path, O_WRONLY | O_TRUNC);
	ssize_t size = read(from, content, sizeof content);
	must(size > 0 && write(to, content, size) == size);
	close(from), close(to);
}

int main(int count, char **arguments)
{
	must(count > 2);
	run(arguments[1]);
	if (count > 3)
		overwrite(arguments[1], arguments[2]);
	run(arguments[count > 3 ? 1 : 2]);
	return 0;
}
