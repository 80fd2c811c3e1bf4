/* A library that has libtail make the calls as *its* last act: two functions are missing on the stack. */
#include <sys/socket.h>

int direct_listen(int, int);
int twice_listen(int, int);
int twice_listen(int s, int backlog)
{
	return direct_listen(s, backlog);
}
