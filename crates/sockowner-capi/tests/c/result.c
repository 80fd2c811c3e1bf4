/* c20, c21: the answer for this program itself. Other owners are staged: see live_contract.rs. */
#include "check.h"

/* Run in a cgroup that is no service of the system. */
static void c20_an_own_listener_is_this_program(void) {
    char path[8192], text[16384];
    const char *name;
    own_listener own = listen_here();
    any_row row;
    int kind, from_table;
    os_own_path(path, sizeof path);
    name = os_base_name(path);
    for (kind = 0; kind < KINDS; kind++) {
        for (from_table = 0; from_table < 2; from_table++) {
            answer got;
            make_row(&row, kind, os_pid(), from_table ? own.row.OwningModuleInfo : NULL);
            got = answer_of(kind, &row);
            to_utf8(text, sizeof text, &got, got.name, got.name_length);
            CHECK(strcmp(text, name) == 0);
            to_utf8(text, sizeof text, &got, got.path, got.path_length);
            CHECK(strcmp(text, path) == 0);
            drop(&got);
        }
    }
    os_close(own.socket);
}

/* `taken` looks at every answer of every check like this; here it is all there is to see. */
static void c21_pointers_stay_inside_name_before_path(void) {
    own_listener own = listen_here();
    any_row row;
    int kind, from_table;
    for (kind = 0; kind < KINDS; kind++) {
        for (from_table = 0; from_table < 2; from_table++) {
            answer got;
            make_row(&row, kind, os_pid(), from_table ? own.row.OwningModuleInfo : NULL);
            got = answer_of(kind, &row);
            CHECK(got.name_length > 0 && got.path_length >= got.name_length);
            drop(&got);
        }
    }
    os_close(own.socket);
}

/* The information of a process that has ended, or of another boot, is nobody's. */
static void a_proof_that_does_not_agree_is_1168(void) {
    own_listener own = listen_here();
    DWORD size = 0, word, code;
    any_row row;
    for (word = 0; word < TCPIP_OWNING_MODULE_SIZE; word++) {
        make_row(&row, TCP, os_pid(), own.row.OwningModuleInfo);
        row.tcp.OwningModuleInfo[word] ^= 1u << 20;
        code = ask(TCP, &row, TCPIP_OWNER_MODULE_INFO_BASIC, NULL, &size);
        /* Opaque: a word may be no proof. What counts is that no error but these comes of it. */
        CHECK(code == ERROR_NOT_FOUND || code == ERROR_INSUFFICIENT_BUFFER);
    }
#ifndef _WIN32 /* there such words are the system's, and prove nothing */
    memset(row.tcp.OwningModuleInfo, 0x5A, sizeof row.tcp.OwningModuleInfo);
    size = 0;
    EQUAL(ask(TCP, &row, TCPIP_OWNER_MODULE_INFO_BASIC, NULL, &size), ERROR_NOT_FOUND);
    EQUAL(size, 0);
#endif
    os_close(own.socket);
}

const check result_group[] = {
    CHECK_OF(c20_an_own_listener_is_this_program)
    CHECK_OF(c21_pointers_stay_inside_name_before_path)
    CHECK_OF(a_proof_that_does_not_agree_is_1168)
    NO_CHECK};
