/* Makes the calls in a signal handler. With TAIL one of them is the handler's last act. */
#include "calls.h"
#include <signal.h>

static int s;

static void handler(int signal)
{
	(void)signal;
#ifdef TAIL
	listen(s, 1);
#else
	all_calls();
	s = 1;
#endif
}

int main(void)
{
	s = new_socket();
	must(signal(SIGUSR1, handler) != SIG_ERR && raise(SIGUSR1) == 0);
	return 0;
}
