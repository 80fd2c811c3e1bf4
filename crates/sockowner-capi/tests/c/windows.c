/* What Windows alone can stage: processes that end while others hold them, proofs by the time of a bind,
 * sockets that two have; and what is staged by the tests' own processes on Linux. Each number is the contract's. */
#include "check.h"

#include <sockowner/sockowner.h>

#define BASIC TCPIP_OWNER_MODULE_INFO_BASIC

/* ---- children -------------------------------------------------------------------------------------------------- */

/* This program again. It listens, says where, and ends when its input does. */
typedef struct child {
    PROCESS_INFORMATION process;
    HANDLE input, output;
    unsigned port;
} child;

static void listen_as_child(void *unused) {
    char byte;
    DWORD count;
    unsigned port = os_port(os_listen(0));
    (void)unused;
    os_must(WriteFile(GetStdHandle(STD_OUTPUT_HANDLE), &port, sizeof port, &count, NULL), "WriteFile");
    ReadFile(GetStdHandle(STD_INPUT_HANDLE), &byte, 1, &count, NULL);
    ExitProcess(0);
}

/* A pipe; one end is inherited. */
static void make_pipe(HANDLE *kept, HANDLE *given, int is_input) {
    SECURITY_ATTRIBUTES inherit = {sizeof inherit, NULL, TRUE};
    HANDLE read, write;
    os_must(CreatePipe(&read, &write, &inherit, 0), "CreatePipe");
    *kept = is_input ? write : read;
    *given = is_input ? read : write;
    os_must(SetHandleInformation(*kept, HANDLE_FLAG_INHERIT, 0), "SetHandleInformation");
}

/* Starts this program with one argument: what it is to do. */
static child start(const WCHAR *role) {
    WCHAR path[4096], line[64];
    STARTUPINFOW with;
    child made;
    HANDLE input, output;
    DWORD count;
    memset(&with, 0, sizeof with);
    with.cb = sizeof with;
    with.dwFlags = STARTF_USESTDHANDLES;
    make_pipe(&made.input, &input, 1);
    make_pipe(&made.output, &output, 0);
    with.hStdInput = input;
    with.hStdOutput = output;
    with.hStdError = GetStdHandle(STD_ERROR_HANDLE);
    os_must(GetModuleFileNameW(NULL, path, 4096) > 0, "GetModuleFileNameW");
    swprintf(line, sizeof line / sizeof *line, L"windows.exe %ls", role);
    os_must(CreateProcessW(path, line, NULL, NULL, TRUE, 0, NULL, NULL, &with, &made.process), "CreateProcessW");
    CloseHandle(input);
    CloseHandle(output);
    os_must(ReadFile(made.output, &made.port, sizeof made.port, &count, NULL) && count == sizeof made.port,
            "read the child's port");
    return made;
}

/* Has it end; it stays a process as long as its handle is open. */
static void end(child *ended) {
    CloseHandle(ended->input);
    os_must(WaitForSingleObject(ended->process.hProcess, INFINITE) == WAIT_OBJECT_0, "WaitForSingleObject");
    CloseHandle(ended->output);
}

static void forget(child *ended) {
    CloseHandle(ended->process.hThread);
    CloseHandle(ended->process.hProcess);
}

/* The row of the child's listener. */
static MIB_TCPROW_OWNER_MODULE row_of(const child *of) {
    MIB_TCPROW_OWNER_MODULE row;
    CHECK(find_listener(of->port, &row));
    EQUAL(row.dwOwningPid, of->process.dwProcessId);
    return row;
}

/* 1168 with this row, and nothing written. */
static void is_not_found(MIB_TCPROW_OWNER_MODULE *row, DWORD size) {
    unsigned char buffer[4096], before[sizeof buffer];
    DWORD told = size;
    CHECK(size <= sizeof buffer);
    memset(buffer, 0xA5, sizeof buffer);
    memcpy(before, buffer, sizeof before);
    EQUAL(GetOwnerModuleFromTcpEntry(row, BASIC, buffer, &told), ERROR_NOT_FOUND);
    EQUAL(GetOwnerModuleFromPidAndInfo(row->dwOwningPid, row->OwningModuleInfo, BASIC, buffer, &told), ERROR_NOT_FOUND);
    EQUAL(told, size);
    EQUAL(memcmp(buffer, before, sizeof buffer), 0);
}

/* ---- checks ---------------------------------------------------------------------------------------------------- */

/* A process that has ended is one as long as somebody has a handle of it. */
static void c31_an_ended_process_that_is_still_held_is_1168(void) {
    child made = start(L"--listen");
    MIB_TCPROW_OWNER_MODULE row = row_of(&made);
    answer got = answer_of(TCP, &row);
    drop(&got);
    end(&made);
    is_not_found(&row, 4096);
    memset(row.OwningModuleInfo, 0, sizeof row.OwningModuleInfo);
    is_not_found(&row, 4096);
    forget(&made);
}

static void c32_an_owner_that_dies_between_the_calls_is_1168(void) {
    child made = start(L"--listen");
    MIB_TCPROW_OWNER_MODULE row = row_of(&made);
    DWORD size = 0;
    EQUAL(GetOwnerModuleFromTcpEntry(&row, BASIC, NULL, &size), ERROR_INSUFFICIENT_BUFFER);
    end(&made);
    forget(&made);
    is_not_found(&row, size);
}

static LONGLONG created_at(void) {
    FILETIME created, exited, kernel, user;
    os_must(GetProcessTimes(GetCurrentProcess(), &created, &exited, &kernel, &user), "GetProcessTimes");
    return (LONGLONG)((ULONGLONG)created.dwHighDateTime << 32 | created.dwLowDateTime);
}

/* A process that was created after the bind is not who bound. */
static void c33_a_process_younger_than_the_row_is_1168(void) {
    const struct {
        LONGLONG after;
        DWORD code;
    } cases[] = {{-864000000000LL, ERROR_NOT_FOUND}, {-10000, ERROR_NOT_FOUND}, {0, NO_ERROR}, {10000, NO_ERROR}};
    size_t i;
    int kind;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (kind = 0; kind < BY_PID; kind++) {
            unsigned char buffer[8192];
            any_row row;
            DWORD size = sizeof buffer;
            LONGLONG bound = created_at() + cases[i].after;
            make_row(&row, kind, os_pid(), NULL);
            (kind == TCP    ? &row.tcp.liCreateTimestamp
             : kind == TCP6 ? &row.tcp6.liCreateTimestamp
             : kind == UDP  ? &row.udp.liCreateTimestamp
                            : &row.udp6.liCreateTimestamp)
                ->QuadPart = bound;
            EQUAL(ask(kind, &row, BASIC, buffer, &size), cases[i].code);
        }
    }
}

/* The start of a process is in the row's words, where they are ours: of another one with this number they are wrong. */
static void c33_another_process_with_the_number_is_1168(void) {
    child made = start(L"--listen");
    MIB_TCPROW_OWNER_MODULE row = row_of(&made);
    int is_bare = 1, i;
    for (i = 0; i < TCPIP_OWNING_MODULE_SIZE; i++)
        is_bare = is_bare && row.OwningModuleInfo[i] == 0;
    row.dwOwningPid = os_pid();
    /* A row without words, and without a time, proves nothing and is believed. */
    if (!is_bare)
        is_not_found(&row, 4096);
    else
        CHECK(row.liCreateTimestamp.QuadPart != 0);
    end(&made);
    forget(&made);
}

typedef DWORD(WINAPI *table_function)(PVOID, PDWORD, BOOL, ULONG, TCP_TABLE_CLASS, ULONG);

/* The row of this listener in the table of the system itself. */
static MIB_TCPROW_OWNER_MODULE systems_row(unsigned port) {
    FARPROC found = GetProcAddress(LoadLibraryA("iphlpapi.dll"), "GetExtendedTcpTable");
    table_function system_table;
    PMIB_TCPTABLE_OWNER_MODULE table = NULL;
    MIB_TCPROW_OWNER_MODULE row;
    DWORD size = 0, i, rows = 0;
    os_must(found != NULL, "the system's GetExtendedTcpTable");
    CHECK(sizeof found == sizeof system_table && found != (FARPROC)(void (*)(void))GetExtendedTcpTable);
    memcpy(&system_table, &found, sizeof system_table);
    memset(&row, 0, sizeof row);
    while (system_table(table, &size, 0, AF_INET, TCP_TABLE_OWNER_MODULE_LISTENER, 0) == ERROR_INSUFFICIENT_BUFFER) {
        free(table);
        table = (PMIB_TCPTABLE_OWNER_MODULE)malloc(size);
        os_must(table != NULL, "malloc");
    }
    for (i = 0; table != NULL && i < table->dwNumEntries; i++) {
        if (ntohs((uint16_t)table->table[i].dwLocalPort) == port &&
            table->table[i].dwLocalAddr == htonl(0x7F000001)) {
            row = table->table[i];
            rows++;
        }
    }
    EQUAL(rows, 1);
    free(table);
    return row;
}

/* Its words are not ours: the first is the tag of a service, and no service is in this process. */
static void a_row_of_the_systems_own_table_is_taken(void) {
    os_socket listener = os_listen(0);
    MIB_TCPROW_OWNER_MODULE row = systems_row(os_port(listener));
    const ULONGLONG words[][2] = {{0, 0}, {77, 0}, {77, 5}, {0, 5}};
    char path[8192], text[8192];
    DWORD size;
    size_t i;
    /* Wine says a number or none. */
    CHECK(row.dwOwningPid == 0 || row.dwOwningPid == os_pid());
    row.dwOwningPid = os_pid();
    os_own_path(path, sizeof path);
    for (i = 0; i < sizeof words / sizeof *words; i++) {
        LONGLONG bound = row.liCreateTimestamp.QuadPart;
        answer got;
        memcpy(row.OwningModuleInfo, words[i], sizeof words[i]);
        got = answer_of(TCP, &row);
        to_utf8(text, sizeof text, &got, got.path, got.path_length);
        CHECK(strcmp(text, path) == 0);
        drop(&got);
        /* The time proves that it was another process. */
        row.liCreateTimestamp.QuadPart = created_at() - 10000;
        EQUAL(GetOwnerModuleFromTcpEntry(&row, BASIC, text, (size = sizeof text, &size)), ERROR_NOT_FOUND);
        row.liCreateTimestamp.QuadPart = bound;
    }
    /* Of a later version of ours. */
    row.OwningModuleInfo[1] = 0x736F636B6F776E02u;
    is_not_found(&row, 4096);
    os_close(listener);
}

static void c35_a_process_without_its_first_thread_is_still_the_owner(void) {
    child made = start(L"--without-main");
    MIB_TCPROW_OWNER_MODULE row = row_of(&made);
    char text[4096];
    answer got;
    os_must(WaitForSingleObject(made.process.hThread, INFINITE) == WAIT_OBJECT_0, "WaitForSingleObject");
    row = row_of(&made);
    got = answer_of(TCP, &row);
    to_utf8(text, sizeof text, &got, got.name, got.name_length);
    CHECK(strcmp(text, "windows.exe") == 0);
    drop(&got);
    end(&made);
    forget(&made);
}

static os_socket listen_at(unsigned long ip, unsigned port) {
    os_address address;
    os_socket made = socket(AF_INET, SOCK_STREAM, 0);
    socklen_of_os length = os_loopback(&address, 0, port);
    address.v4.sin_addr.s_addr = htonl(ip);
    os_must(made != OS_NO_SOCKET && bind(made, &address.any, length) == 0 && listen(made, 1) == 0, "listen_at");
    return made;
}

static void c49_rows_are_ordered_as_numbers(void) {
    static const unsigned ports[] = {256, 10, 9};
    static const unsigned long ips[] = {0x7F010000, 0x7F000001};
    os_socket made[6];
    PMIB_TCPTABLE_OWNER_MODULE table;
    DWORD size = 0, i;
    for (i = 0; i < 6; i++)
        made[i] = listen_at(ips[i / 3], ports[i % 3]);
    EQUAL(GetExtendedTcpTable(NULL, &size, 1, AF_INET, TCP_TABLE_OWNER_MODULE_LISTENER, 0), ERROR_INSUFFICIENT_BUFFER);
    table = (PMIB_TCPTABLE_OWNER_MODULE)malloc(size);
    os_must(table != NULL, "malloc");
    EQUAL(GetExtendedTcpTable(table, &size, 1, AF_INET, TCP_TABLE_OWNER_MODULE_LISTENER, 0), NO_ERROR);
    EQUAL(table->dwNumEntries, 6);
    for (i = 0; i < 6; i++) {
        EQUAL(ntohl(table->table[i].dwLocalAddr), ips[1 - i / 3]);
        EQUAL(ntohs((uint16_t)table->table[i].dwLocalPort), ports[2 - i % 3]);
        os_close(made[i]);
    }
    free(table);
}

static void c50_a_connection_that_lingers_has_a_row_and_no_owner(void) {
    os_socket listener = os_listen(0), here = socket(AF_INET, SOCK_STREAM, 0), there;
    os_address address;
    socklen_of_os length = os_loopback(&address, 0, os_port(listener));
    PMIB_TCPTABLE_OWNER_MODULE table;
    unsigned port;
    DWORD size, i, found = 0;
    char byte;
    os_must(here != OS_NO_SOCKET && connect(here, &address.any, length) == 0, "connect");
    there = accept(listener, NULL, NULL);
    os_must(there != OS_NO_SOCKET, "accept");
    port = os_port(here);
    os_must(shutdown(here, SD_SEND) == 0, "shutdown");
    EQUAL(recv(there, &byte, 1, 0), 0);
    os_close(there);
    EQUAL(recv(here, &byte, 1, 0), 0);
    os_close(here);
    table = (PMIB_TCPTABLE_OWNER_MODULE)tcp_table(AF_INET, TCP_TABLE_OWNER_MODULE_ALL, &size);
    for (i = 0; i < table->dwNumEntries; i++) {
        MIB_TCPROW_OWNER_MODULE *row = &table->table[i];
        if (ntohs((uint16_t)row->dwLocalPort) == port && row->dwState == MIB_TCP_STATE_TIME_WAIT) {
            EQUAL(row->dwOwningPid, 0);
            is_not_found(row, 4096);
            found++;
        }
    }
    EQUAL(found, 1);
    free(table);
    os_close(listener);
}

/* ---- more than one, and many ----------------------------------------------------------------------------------- */

/* A child has the parent's listener too. Windows' rows tell who bound it; under Wine, where handles are looked at, both are
 * told, and the row has the one that started first. */
static void a_listener_that_two_processes_have_is_both_processes(void) {
    own_listener own = listen_here();
    unsigned port = os_port(own.socket);
    child made;
    char text[64];
    sockowner_result *result = NULL;
    const sockowner_endpoint *endpoint;
    int is_recorded;
    answer got;
    os_must(SetHandleInformation((HANDLE)own.socket, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT), "inherit the listener");
    made = start(L"--listen");
    CHECK(find_listener(port, &own.row));
    EQUAL(own.row.dwOwningPid, os_pid());
    snprintf(text, sizeof text, "127.0.0.1:%u", port);
    EQUAL(sockowner_who(text, &result), SOCKOWNER_OK);
    EQUAL(result->endpoint_count, 1);
    endpoint = result->endpoints[0];
    CHECK(endpoint->owner != NULL && endpoint->evidence != NULL);
    EQUAL(endpoint->owner->pid, os_pid());
    is_recorded = strcmp(endpoint->evidence, "recorded") == 0;
    EQUAL(endpoint->holder_count, is_recorded ? 0 : 2);
    if (!is_recorded) {
        DWORD one = endpoint->holders[0]->process->pid, other = endpoint->holders[1]->process->pid;
        CHECK((one == os_pid() && other == made.process.dwProcessId) ||
              (other == os_pid() && one == made.process.dwProcessId));
    }
    sockowner_free(result);
    os_close(own.socket);
    CHECK(find_listener(port, &own.row));
    EQUAL(own.row.dwOwningPid, is_recorded ? os_pid() : made.process.dwProcessId);
    got = answer_of(TCP, &own.row);
    to_utf8(text, sizeof text, &got, got.name, got.name_length);
    CHECK(strcmp(text, "windows.exe") == 0);
    drop(&got);
    end(&made);
    is_recorded ? (void)0 : is_not_found(&own.row, 4096);
    forget(&made);
}

static void five_hundred_listeners_are_this_program(void) {
    enum { COUNT = 500 };
    static os_socket sockets[COUNT];
    static unsigned char is_told[65536];
    PMIB_TCPTABLE_OWNER_MODULE table;
    DWORD size, i, told = 0;
    char path[8192], text[8192];
    os_own_path(path, sizeof path);
    for (i = 0; i < COUNT; i++)
        is_told[os_port(sockets[i] = os_listen(0))] = 1;
    table = (PMIB_TCPTABLE_OWNER_MODULE)tcp_table(AF_INET, TCP_TABLE_OWNER_MODULE_LISTENER, &size);
    for (i = 0; i < table->dwNumEntries; i++) {
        MIB_TCPROW_OWNER_MODULE *row = &table->table[i];
        unsigned port = ntohs((uint16_t)row->dwLocalPort);
        answer got;
        if (row->dwLocalAddr != htonl(0x7F000001) || !is_told[port])
            continue;
        is_told[port] = 0;
        told++;
        EQUAL(row->dwOwningPid, os_pid());
        got = answer_of(TCP, row);
        to_utf8(text, sizeof text, &got, got.path, got.path_length);
        CHECK(strcmp(text, path) == 0);
        drop(&got);
    }
    EQUAL(told, COUNT);
    free(table);
    for (i = 0; i < COUNT; i++)
        os_close(sockets[i]);
}

/* ---- the rest -------------------------------------------------------------------------------------------------- */

static const check windows_group[] = {
    CHECK_OF(c31_an_ended_process_that_is_still_held_is_1168)
    CHECK_OF(c32_an_owner_that_dies_between_the_calls_is_1168)
    CHECK_OF(c33_a_process_younger_than_the_row_is_1168)
    CHECK_OF(c33_another_process_with_the_number_is_1168)
    CHECK_OF(a_row_of_the_systems_own_table_is_taken)
    CHECK_OF(c35_a_process_without_its_first_thread_is_still_the_owner)
    CHECK_OF(a_listener_that_two_processes_have_is_both_processes)
    CHECK_OF(five_hundred_listeners_are_this_program)
    ALONE(c49_rows_are_ordered_as_numbers)
    ALONE(c50_a_connection_that_lingers_has_a_row_and_no_owner)
    NO_CHECK};

int main(int argc, char **argv) {
    const check *groups[2];
    groups[0] = windows_group;
    groups[1] = NULL;
    if (argc == 2 && strcmp(argv[1], "--listen") == 0) {
        os_begin();
        listen_as_child(NULL);
    }
    if (argc == 2 && strcmp(argv[1], "--without-main") == 0) {
        os_thread thread;
        os_begin();
        os_start(&thread, listen_as_child, NULL);
        ExitThread(0);
    }
    return run_checks(argc, argv, groups);
}
