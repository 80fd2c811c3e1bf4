/* The checklist of the contract, as far as a program can go through it by itself. What its arguments are, check.h says.
 * The rest is staged around programs: see live_contract.rs. */
#include "check.h"

int main(int argc, char **argv) {
    const check *groups[8];
    groups[0] = arguments_group;
    groups[1] = sizing_group;
    groups[2] = result_group;
    groups[3] = life_group;
    groups[4] = tables_group;
    groups[5] = rows_group;
    groups[6] = threads_group;
    groups[7] = NULL;
    return run_checks(argc, argv, groups);
}
