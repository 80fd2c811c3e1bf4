/* Stands before libc, counts, and calls it. With TAIL the call of libc is its last act. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <sys/socket.h>

static long calls;

#ifdef TAIL
#define PASS(real, ...) return real(__VA_ARGS__)
#else
#define PASS(real, ...)              \
	int result = real(__VA_ARGS__);  \
	__atomic_add_fetch(&calls, 1, 0); \
	return result
#endif
#define STAND(name, parameters, ...)                       \
	int name parameters                                    \
	{                                                      \
		static int (*real) parameters;                     \
		if (real == NULL)                                  \
			*(void **)&real = dlsym(RTLD_NEXT, #name);     \
		__atomic_add_fetch(&calls, 1, 0);                  \
		PASS(real, __VA_ARGS__);                           \
	}

STAND(bind, (int s, const struct sockaddr *a, socklen_t n), s, a, n)
STAND(connect, (int s, const struct sockaddr *a, socklen_t n), s, a, n)
STAND(listen, (int s, int n), s, n)
STAND(accept, (int s, struct sockaddr *a, socklen_t *n), s, a, n)
STAND(accept4, (int s, struct sockaddr *a, socklen_t *n, int f), s, a, n, f)
