/*
 * What sockowner.dll costs beside what it is made of: `bench.exe PATH-OF-sockowner.dll ROUNDS`.
 *
 * Prints `rows N`, and then for each round one line of nanoseconds a call:
 *   round SYSTEM-TABLE HANDLE-QUERY OWNED-TABLE OWNER PROCESS-IMAGE
 * Both sides of a ratio are measured in every round, so that what else the machine does meets them alike.
 */
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>
#include <winternl.h>
#include <iphlpapi.h>
#include <stdio.h>
#include <stdlib.h>

#define SOCKETS 500
#define CALLS 200 /* of the fast ones, in a slice */
#define HANDLES 64 /* SystemExtendedHandleInformation */

typedef DWORD(WINAPI *table_call)(PVOID, PDWORD, BOOL, ULONG, TCP_TABLE_CLASS, ULONG);
typedef DWORD(WINAPI *owner_call)(PMIB_TCPROW_OWNER_MODULE, TCPIP_OWNER_MODULE_INFO_CLASS, PVOID, PDWORD);
typedef NTSTATUS(NTAPI *query_call)(ULONG, PVOID, ULONG, PULONG);

static SOCKET sockets[SOCKETS];
static unsigned short ports[SOCKETS];
static union {
    MIB_TCPTABLE_OWNER_MODULE table;
    char bytes[4 << 20];
} buffer, system_buffer;
static char handles[16 << 20];

static void fail(const char *what, unsigned long code)
{
    printf("FAILED %s: %lu\n", what, code);
    exit(1);
}

static double now(void)
{
    LARGE_INTEGER count, frequency;

    QueryPerformanceCounter(&count);
    QueryPerformanceFrequency(&frequency);
    return (double)count.QuadPart * 1e9 / (double)frequency.QuadPart;
}

static FARPROC named(HMODULE module, const char *name)
{
    FARPROC found = module ? GetProcAddress(module, name) : NULL;

    if (!found)
        fail(name, GetLastError());
    return found;
}

static void listen_on_many(void)
{
    struct sockaddr_in address;
    int i, length;

    for (i = 0; i < SOCKETS; i++) {
        memset(&address, 0, sizeof address);
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        length = sizeof address;
        sockets[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (sockets[i] == INVALID_SOCKET || bind(sockets[i], (struct sockaddr *)&address, length) ||
            listen(sockets[i], 1) || getsockname(sockets[i], (struct sockaddr *)&address, &length))
            fail("listen", WSAGetLastError());
        ports[i] = address.sin_port;
    }
}

static DWORD rows_of(table_call call, void *into, DWORD size)
{
    DWORD result = call(into, &size, FALSE, AF_INET, TCP_TABLE_OWNER_MODULE_ALL, 0);

    if (result)
        fail("GetExtendedTcpTable", result);
    return ((MIB_TCPTABLE_OWNER_MODULE *)into)->dwNumEntries;
}

/* The row of a socket of this process, in a table that has to name this process for it. */
static MIB_TCPROW_OWNER_MODULE *own_row(int i)
{
    MIB_TCPTABLE_OWNER_MODULE *table = &buffer.table;
    DWORD at;

    for (at = 0; at < table->dwNumEntries; at++) {
        MIB_TCPROW_OWNER_MODULE *row = &table->table[at];
        if (row->dwState == MIB_TCP_STATE_LISTEN && (unsigned short)row->dwLocalPort == ports[i]) {
            if (row->dwOwningPid != GetCurrentProcessId())
                fail("the owner of an own socket", row->dwOwningPid);
            return row;
        }
    }
    fail("a socket without a row", (unsigned long)i);
    return NULL;
}

static void process_image(void)
{
    WCHAR path[1024];
    DWORD length = sizeof path / sizeof *path;
    HANDLE process = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, GetCurrentProcessId());

    if (!process || !QueryFullProcessImageNameW(process, 0, path, &length))
        fail("QueryFullProcessImageNameW", GetLastError());
    CloseHandle(process);
}

int main(int argc, char **argv)
{
    WSADATA data;
    HMODULE ours, system;
    table_call our_table, system_table;
    owner_call owner;
    query_call query;
    MIB_TCPROW_OWNER_MODULE *row;
    int round, i;

    if (argc != 3 || WSAStartup(MAKEWORD(2, 2), &data))
        fail("begin", (unsigned long)argc);
    ours = LoadLibraryA(argv[1]);
    system = LoadLibraryExA("iphlpapi.dll", NULL, 0x800 /* LOAD_LIBRARY_SEARCH_SYSTEM32 */);
    our_table = (table_call)(void *)named(ours, "GetExtendedTcpTable");
    owner = (owner_call)(void *)named(ours, "GetOwnerModuleFromTcpEntry");
    system_table = (table_call)(void *)named(system, "GetExtendedTcpTable");
    query = (query_call)(void *)named(GetModuleHandleA("ntdll.dll"), "NtQuerySystemInformation");

    listen_on_many();
    printf("rows %lu\n", (unsigned long)rows_of(our_table, &buffer, sizeof buffer));
    for (i = 0; i < SOCKETS; i++)
        own_row(i);

    /* The first is not counted. */
    for (round = -1; round < atoi(argv[2]); round++) {
        double at[6];
        ULONG needed;

        at[0] = now();
        rows_of(system_table, &system_buffer, sizeof system_buffer);
        at[1] = now();
        if (query(HANDLES, handles, sizeof handles, &needed))
            fail("NtQuerySystemInformation", needed);
        at[2] = now();
        rows_of(our_table, &buffer, sizeof buffer);
        at[3] = now();
        row = own_row(SOCKETS / 2);
        at[3] = at[3] - at[2];
        at[2] = at[2] - at[1];
        at[1] = at[1] - at[0];
        at[4] = now();
        for (i = 0; i < CALLS; i++) {
            char module[4096];
            DWORD size = sizeof module;
            DWORD result = owner(row, TCPIP_OWNER_MODULE_INFO_BASIC, module, &size);
            if (result)
                fail("GetOwnerModuleFromTcpEntry", result);
        }
        at[4] = (now() - at[4]) / CALLS;
        at[5] = now();
        for (i = 0; i < CALLS; i++)
            process_image();
        at[5] = (now() - at[5]) / CALLS;
        if (round >= 0)
            printf("round %.0f %.0f %.0f %.0f %.0f\n", at[1], at[2], at[3], at[4], at[5]);
    }
    return 0;
}
