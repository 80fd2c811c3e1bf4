/* What the tests need of an operating system and C does not have. Everything else in them is C. */
#ifndef OS_H
#define OS_H

#if !defined(_WIN32) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#ifdef _WIN32
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>
#else
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline void os_must(int holds, const char *what) {
    if (!holds) {
#ifdef _WIN32
        fprintf(stderr, "%s: error %lu\n", what, (unsigned long)GetLastError());
#else
        perror(what);
#endif
        exit(2);
    }
}

/* How many rounds make a loop of whole queries, and one of rows. Under Wine each asks one server, for every process. */
#ifdef _WIN32
#define OS_QUERIES 10
#define OS_ROWS 10000
#else
#define OS_QUERIES 100
#define OS_ROWS 100000
#endif

/* ---- sockets --------------------------------------------------------------------------------------------------- */

#ifdef _WIN32
typedef SOCKET os_socket;
typedef int socklen_of_os;
#define OS_NO_SOCKET INVALID_SOCKET
#else
typedef int os_socket;
typedef socklen_t socklen_of_os;
#define OS_NO_SOCKET (-1)
#endif

static inline void os_begin(void) {
#ifdef _WIN32
    WSADATA data;
    os_must(WSAStartup(MAKEWORD(2, 2), &data) == 0, "WSAStartup");
#endif
}

static inline void os_close(os_socket socket) {
#ifdef _WIN32
    closesocket(socket);
#else
    close(socket);
#endif
}

typedef union os_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} os_address;

/* Loopback; the port in host byte order. */
static inline socklen_of_os os_loopback(os_address *address, int v6, unsigned port) {
    memset(address, 0, sizeof *address);
    if (v6) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons((uint16_t)port);
        address->v6.sin6_addr.s6_addr[15] = 1;
        return (socklen_of_os)sizeof address->v6;
    }
    address->v4.sin_family = AF_INET;
    address->v4.sin_port = htons((uint16_t)port);
    address->v4.sin_addr.s_addr = htonl(0x7F000001);
    return (socklen_of_os)sizeof address->v4;
}

/* A socket of SOCK_STREAM or SOCK_DGRAM bound to loopback at a port of the system's choice. */
static inline os_socket os_bind(int v6, int type) {
    os_address address;
    socklen_of_os length = os_loopback(&address, v6, 0);
    os_socket made = socket(v6 ? AF_INET6 : AF_INET, type, 0);
    os_must(made != OS_NO_SOCKET, "socket");
    os_must(bind(made, &address.any, length) == 0, "bind");
    return made;
}

static inline os_socket os_listen(int v6) {
    os_socket made = os_bind(v6, SOCK_STREAM);
    os_must(listen(made, 16) == 0, "listen");
    return made;
}

/* In host byte order. */
static inline unsigned os_port(os_socket socket) {
    os_address address;
    socklen_of_os length = (socklen_of_os)sizeof address;
    os_must(getsockname(socket, &address.any, &length) == 0, "getsockname");
    return ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
}

/* Has a connection end at once when it is closed: else it would linger in the tables for a minute. */
static inline os_socket os_without_lingering(os_socket connection) {
    struct linger at_once;
    at_once.l_onoff = 1;
    at_once.l_linger = 0;
    os_must(setsockopt(connection, SOL_SOCKET, SO_LINGER, (const char *)&at_once, sizeof at_once) == 0, "SO_LINGER");
    return connection;
}

static inline os_socket os_connect(int v6, unsigned port) {
    os_address address;
    socklen_of_os length = os_loopback(&address, v6, port);
    os_socket made = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    os_must(made != OS_NO_SOCKET, "socket");
    os_must(connect(made, &address.any, length) == 0, "connect");
    return os_without_lingering(made);
}

static inline os_socket os_accept(os_socket listener) {
    os_socket made = accept(listener, NULL, NULL);
    os_must(made != OS_NO_SOCKET, "accept");
    return os_without_lingering(made);
}

/* ---- processes ------------------------------------------------------------------------------------------------- */

static inline uint32_t os_pid(void) {
#ifdef _WIN32
    return (uint32_t)GetCurrentProcessId();
#else
    return (uint32_t)getpid();
#endif
}

/* The number of a process that was and is no more. */
static inline uint32_t os_dead_pid(void) {
#ifdef _WIN32
    return 0xFFFFFFF0u; /* process numbers are multiples of 4, and small */
#else
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    os_must(child > 0, "fork");
    os_must(waitpid(child, NULL, 0) == child, "waitpid");
    return (uint32_t)child;
#endif
}

/* The path of this program as UTF-8, from the system itself. */
static inline void os_own_path(char *path, size_t size) {
#ifdef _WIN32
    WCHAR wide[4096];
    os_must(GetModuleFileNameW(NULL, wide, 4096) > 0, "GetModuleFileNameW");
    os_must(WideCharToMultiByte(CP_UTF8, 0, wide, -1, path, (int)size, NULL, NULL) > 0, "WideCharToMultiByte");
#else
    /* In two steps: for the whole of "/proc/self/exe" valgrind has an answer of its own, which is not the kernel's. */
    int self = open("/proc/self", O_RDONLY | O_DIRECTORY);
    ssize_t length = readlinkat(self, "exe", path, size - 1);
    os_must(length > 0, "readlinkat /proc/self exe");
    path[length] = 0;
    close(self);
#endif
}

/* What follows the last separator. */
static inline const char *os_base_name(const char *path) {
#ifdef _WIN32
    const char *last = strrchr(path, '\\');
#else
    const char *last = strrchr(path, '/');
#endif
    return last == NULL ? path : last + 1;
}

/* How many descriptors or handles this process has open. */
static inline unsigned os_handles(void) {
#ifdef _WIN32
    /* One by one: under Wine GetProcessHandleCount says 0, and the list of all handles may end Wine's server. */
    unsigned count = 0;
    ULONG_PTR value;
    DWORD flags;
    for (value = 4; value < 4 * 16384; value += 4)
        count += GetHandleInformation((HANDLE)value, &flags) != 0;
    os_must(count > 0, "no handles of this process");
    return count;
#else
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    os_must(dir != NULL, "opendir /proc/self/fd");
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
#endif
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

/* Resident memory in KiB; 0 where it says nothing about leaks. */
static inline long os_memory(void) {
    long pages = 0;
#if !defined(_WIN32) && !defined(__SANITIZE_ADDRESS__)
    FILE *file = fopen("/proc/self/statm", "r");
    os_must(file != NULL, "fopen /proc/self/statm");
    os_must(fscanf(file, "%*s %ld", &pages) == 1, "read /proc/self/statm");
    fclose(file);
    pages *= sysconf(_SC_PAGESIZE) / 1024;
#endif
    return pages;
}

/* Memory that ends where an inaccessible page begins, at least `size` bytes, filled with `fill`; the result is its end.
 * Never freed: a test needs few. */
static inline unsigned char *os_guarded_end(size_t size, int fill) {
    unsigned char *start;
    size_t page, room;
#ifdef _WIN32
    DWORD old;
    page = 65536;
    room = (size + page - 1) / page * page;
    start = (unsigned char *)VirtualAlloc(NULL, room + page, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    os_must(start != NULL, "VirtualAlloc");
    os_must(VirtualProtect(start + room, page, PAGE_NOACCESS, &old), "VirtualProtect");
#else
    void *made;
    page = (size_t)sysconf(_SC_PAGESIZE);
    room = (size + page - 1) / page * page;
    made = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    os_must(made != MAP_FAILED, "mmap");
    start = (unsigned char *)made;
    os_must(mprotect(start + room, page, PROT_NONE) == 0, "mprotect");
#endif
    memset(start, fill, room);
    return start + room;
}

/* Write-protects what `os_guarded_end` gave for `size`. */
static inline void os_protect(unsigned char *end, size_t size) {
#ifdef _WIN32
    DWORD old;
    os_must(VirtualProtect(end - size, size, PAGE_READONLY, &old), "VirtualProtect");
#else
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (size + page - 1) / page * page;
    os_must(mprotect(end - room, room, PROT_READ) == 0, "mprotect");
#endif
}

/* ---- threads --------------------------------------------------------------------------------------------------- */

typedef struct os_thread {
    void (*run)(void *);
    void *argument;
#ifdef _WIN32
    HANDLE handle;
#else
    pthread_t handle;
#endif
} os_thread;

#ifdef _WIN32
static DWORD WINAPI os_thread_main(void *thread) {
    ((os_thread *)thread)->run(((os_thread *)thread)->argument);
    return 0;
}
#else
static inline void *os_thread_main(void *thread) {
    ((os_thread *)thread)->run(((os_thread *)thread)->argument);
    return NULL;
}
#endif

static inline void os_start(os_thread *thread, void (*run)(void *), void *argument) {
    thread->run = run;
    thread->argument = argument;
#ifdef _WIN32
    thread->handle = CreateThread(NULL, 0, os_thread_main, thread, 0, NULL);
    os_must(thread->handle != NULL, "CreateThread");
#else
    os_must(pthread_create(&thread->handle, NULL, os_thread_main, thread) == 0, "pthread_create");
#endif
}

static inline void os_join(os_thread *thread) {
#ifdef _WIN32
    os_must(WaitForSingleObject(thread->handle, INFINITE) == WAIT_OBJECT_0, "WaitForSingleObject");
    CloseHandle(thread->handle);
#else
    os_must(pthread_join(thread->handle, NULL) == 0, "pthread_join");
#endif
}

#endif
