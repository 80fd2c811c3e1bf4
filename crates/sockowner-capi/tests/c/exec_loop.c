/* c34: executes the other of two paths, again and again: `exec_loop HERE THERE TURNS`. */
#include "os.h"

int main(int argc, char **argv) {
    char turns[16], *next[5];
    os_must(argc == 4, "arguments");
    if (atoi(argv[3]) == 0)
        return 0;
    snprintf(turns, sizeof turns, "%d", atoi(argv[3]) - 1);
    next[0] = argv[2];
    next[1] = argv[2];
    next[2] = argv[1];
    next[3] = turns;
    next[4] = NULL;
    execv(argv[2], next);
    perror(argv[2]);
    return 1;
}
