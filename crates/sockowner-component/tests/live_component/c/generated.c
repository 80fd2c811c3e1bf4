/* Makes a function at run time, which calls listen; with a frame pointer, or without. */
#include "calls.h"
#include <sys/mman.h>

int main(int count, char **arguments)
{
	/* push %rbp; mov %rsp,%rbp; mov %rdx,%rax; call *%rax; pop %rbp; ret */
	unsigned char framed[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0xd0, 0xff, 0xd0, 0x5d, 0xc3};
	/* push %rbp; xor %ebp,%ebp; mov %rdx,%rax; call *%rax; pop %rbp; ret */
	unsigned char frameless[] = {0x55, 0x31, 0xed, 0x48, 0x89, 0xd0, 0xff, 0xd0, 0x5d, 0xc3};
	must(count == 2);
	char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(code != MAP_FAILED);
	if (strcmp(arguments[1], "framed") == 0)
		memcpy(code, framed, sizeof framed);
	else
		memcpy(code, frameless, sizeof frameless);
	int (*function)(int, int, void *);
	*(void **)&function = code;
	must(function(new_socket(), 1, (void *)listen) == 0);
	return 0;
}
