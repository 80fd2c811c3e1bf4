/* A plugin that connects a socket itself. */
#include <sys/socket.h>

int call(int, const struct sockaddr *, socklen_t);
int call(int s, const struct sockaddr *address, socklen_t size)
{
	int result = connect(s, address, size);
	__asm__ volatile("" ::: "memory");
	return result;
}
