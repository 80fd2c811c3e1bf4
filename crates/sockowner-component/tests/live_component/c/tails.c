/* Has libtail make the calls. How: "direct", "pointer" and "found" are called by name, "indirect" by pointer,
   "callback" by libc, "thread" in a thread. */
#include "calls.h"
#include <pthread.h>

int direct_bind(int, const struct sockaddr *, socklen_t);
int direct_listen(int, int);
int direct_connect(int, const struct sockaddr *, socklen_t);
int direct_accept(int);
int pointer_bind(int, const struct sockaddr *, socklen_t);
int pointer_accept(int);
int found_bind(int, const struct sockaddr *, socklen_t);
int found_accept(int);
int compare(const void *, const void *);
int thread(int *);

static int (*volatile indirect_bind)(int, const struct sockaddr *, socklen_t) = direct_bind;
static int (*volatile indirect_accept)(int) = direct_accept;

int main(int count, char **arguments)
{
	struct sockaddr_in address = loopback();
	int both[2] = {0, 8};
	struct sockaddr *any = (struct sockaddr *)&address;
	int s = new_socket(), c = new_socket(), backlog = 8, accepted = -1;
	must(count == 2);
	const char *how = arguments[1];
	if (strcmp(how, "pointer") == 0)
		must(pointer_bind(s, any, sizeof address) == 0);
	else if (strcmp(how, "found") == 0)
		must(found_bind(s, any, sizeof address) == 0);
	else if (strcmp(how, "indirect") == 0)
		must(indirect_bind(s, any, sizeof address) == 0);
	else
		must(direct_bind(s, any, sizeof address) == 0);
	if (strcmp(how, "callback") == 0) {
		both[0] = s;
		qsort(both, 2, sizeof both[0], compare);
		return 0;
	}
	if (strcmp(how, "thread") == 0) {
		pthread_t t;
		must(pthread_create(&t, NULL, (void *(*)(void *))(void *)thread, &s) == 0 && pthread_join(t, NULL) == 0);
		return 0;
	}
	must(direct_listen(s, backlog) == 0);
	name_of(s, &address);
	must(direct_connect(c, any, sizeof address) == 0);
	if (strcmp(how, "pointer") == 0)
		accepted = pointer_accept(s);
	else if (strcmp(how, "found") == 0)
		accepted = found_accept(s);
	else if (strcmp(how, "indirect") == 0)
		accepted = indirect_accept(s);
	else
		accepted = direct_accept(s);
	must(accepted >= 0);
	return 0;
}
