#include "calls.h"

int twice_listen(int, int);

int main(void)
{
	must(twice_listen(new_socket(), 1) == 0);
	return 0;
}
