/* A program that has a library make the calls. */
void run(void);

#ifdef TAKES_ADDRESS
#include <sys/socket.h>

/* As a constant, so that the linker has to give it an address of the program's own. */
int (*const taken)(int, int) = listen;
#endif

int main(void)
{
	run();
	return 0;
}
