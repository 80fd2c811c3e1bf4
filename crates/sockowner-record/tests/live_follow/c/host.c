/* A program that does as the lines of its input say, and answers each with a line: "load N PATH" loads a plugin and tells
   where its function is, "unload N" unloads it, "call N" has it connect a socket, and tells the socket's cookie. */
#include "../../../../sockowner-component/tests/live_component/c/calls.h"
#include <dlfcn.h>
#include <stdio.h>

typedef int plugin(int, const struct sockaddr *, socklen_t);

static void *libraries[2];
static plugin *plugins[2];

static unsigned long long connected(plugin *call)
{
	struct sockaddr_in address = loopback();
	unsigned long long cookie;
	socklen_t size = sizeof cookie;
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	must(s >= 0);
	address.sin_port = htons(9);
	must(call(s, (struct sockaddr *)&address, sizeof address) == 0);
	must(getsockopt(s, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0);
	return cookie;
}

int main(void)
{
	char line[4096], path[4096];
	unsigned number;
	while (fgets(line, sizeof line, stdin) != NULL) {
		unsigned long long answer = 0;
		if (sscanf(line, "load %u %4095s", &number, path) == 2 && number < 2) {
			libraries[number] = dlopen(path, RTLD_NOW | RTLD_LOCAL);
			must(libraries[number] != NULL);
			*(void **)&plugins[number] = dlsym(libraries[number], "call");
			must(plugins[number] != NULL);
			answer = (unsigned long long)plugins[number];
		} else if (sscanf(line, "unload %u", &number) == 1 && number < 2) {
			must(dlclose(libraries[number]) == 0);
		} else {
			must(sscanf(line, "call %u", &number) == 1 && number < 2);
			answer = connected(plugins[number]);
		}
		printf("%llu\n", answer);
		must(fflush(stdout) == 0);
	}
	return 0;
}
