/* One of each call, on sockets of the loopback interface; none has to wait. */
#ifndef CALLS_H
#define CALLS_H
#define _GNU_SOURCE
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct pair {
	int listener;
	struct sockaddr_in address;
};

static inline void must(int ok)
{
	if (!ok)
		_exit(3);
}

static inline int new_socket(void)
{
	int s = socket(AF_INET, SOCK_STREAM, 0);
	must(s >= 0);
	return s;
}

static inline struct sockaddr_in loopback(void)
{
	struct sockaddr_in address;
	memset(&address, 0, sizeof address);
	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

static inline void name_of(int s, struct sockaddr_in *address)
{
	socklen_t size = sizeof *address;
	must(getsockname(s, (struct sockaddr *)address, &size) == 0);
}

#ifdef BY_POINTER
static int (*volatile listen_pointer)(int, int) = listen;
#define listen listen_pointer
#endif

/* Not inlined: each call stands in a frame of its own, and is not its last act. */
static __attribute__((noinline, unused)) void all_calls(void)
{
	struct sockaddr_in address = loopback();
	int s = new_socket(), a = new_socket(), b = new_socket();
	must(bind(s, (struct sockaddr *)&address, sizeof address) == 0);
	must(listen(s, 8) == 0);
	name_of(s, &address);
	must(connect(a, (struct sockaddr *)&address, sizeof address) == 0);
	must(connect(b, (struct sockaddr *)&address, sizeof address) == 0);
	int first = accept(s, NULL, NULL);
	int second = accept4(s, NULL, NULL, SOCK_CLOEXEC);
	must(first >= 0 && second >= 0);
	close(first), close(second), close(a), close(b), close(s);
}
#endif
