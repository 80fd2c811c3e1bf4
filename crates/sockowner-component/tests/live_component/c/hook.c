#include <sys/socket.h>

int (*real_listen)(int, int);
int hook_listen(int s, int n);
int hook_listen(int s, int n)
{
	return real_listen(s, n);
}
