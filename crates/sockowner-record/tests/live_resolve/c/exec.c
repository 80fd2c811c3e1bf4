/* A program that has a library make the calls, and then becomes the program it is given. */
#include <unistd.h>

void run(void);

int main(int count, char **arguments)
{
	run();
	if (count > 1)
		execv(arguments[1], arguments + 1);
	return 3;
}
