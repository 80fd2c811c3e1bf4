/* A library whose functions make a call as their last act, so that they leave no frame. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <sys/socket.h>

typedef int (*bind_type)(int, const struct sockaddr *, socklen_t);
typedef int (*accept_type)(int, struct sockaddr *, socklen_t *);

/* The compiler does not see what they hold. */
static volatile bind_type bind_pointer = bind;
static volatile accept_type accept_pointer = accept;

int direct_bind(int, const struct sockaddr *, socklen_t);
int direct_bind(int s, const struct sockaddr *address, socklen_t size)
{
	return bind(s, address, size);
}

int direct_listen(int, int);
int direct_listen(int s, int backlog)
{
	return listen(s, backlog);
}

int direct_connect(int, const struct sockaddr *, socklen_t);
int direct_connect(int s, const struct sockaddr *address, socklen_t size)
{
	return connect(s, address, size);
}

int direct_accept(int);
int direct_accept(int s)
{
	return accept(s, NULL, NULL);
}

int pointer_bind(int, const struct sockaddr *, socklen_t);
int pointer_bind(int s, const struct sockaddr *address, socklen_t size)
{
	return bind_pointer(s, address, size);
}

int pointer_accept(int);
int pointer_accept(int s)
{
	return accept_pointer(s, NULL, NULL);
}

static void find(void *pointer, const char *name)
{
	*(void **)pointer = dlsym(RTLD_DEFAULT, name);
}

int found_bind(int, const struct sockaddr *, socklen_t);
int found_bind(int s, const struct sockaddr *address, socklen_t size)
{
	static bind_type pointer;
	if (pointer == NULL)
		find(&pointer, "bind");
	return pointer(s, address, size);
}

int found_accept(int);
int found_accept(int s)
{
	static accept_type pointer;
	if (pointer == NULL)
		find(&pointer, "accept");
	return pointer(s, NULL, NULL);
}

/* Called back by libc: the frame below it is libc's. */
int compare(const void *, const void *);
int compare(const void *s, const void *backlog)
{
	return listen(*(const int *)s, *(const int *)backlog);
}

/* As the first function of a thread. */
int thread(int *);
int thread(int *s)
{
	return listen(*s, 1);
}
