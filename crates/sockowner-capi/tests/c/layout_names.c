/* A program that has names of its own. NAMES chooses which. */
#if NAMES == 1 /* the same, before (C11, C++) */
typedef unsigned int DWORD, *PDWORD;
typedef int BOOL;
typedef unsigned char UCHAR;
typedef unsigned long long ULONGLONG;
typedef void *PVOID;
#define WINAPI
#define TRUE 1
#define ERROR_NOT_FOUND 1168L
#elif NAMES == 2 /* others: ours are left out */
#define SOCKOWNER_NO_WINDOWS_TYPES
#define SOCKOWNER_NO_WINDOWS_ERRORS
typedef unsigned long DWORD;
typedef unsigned char BOOL;
typedef struct { int parts[3]; } LARGE_INTEGER, IN6_ADDR;
typedef enum { FALSE, TRUE } BOOLEAN;
#elif NAMES == 3 /* a macro, as in some ODBC headers */
#define BOOL int
#elif NAMES == 4 /* others, behind ours */
#define SOCKOWNER_NO_WINDOWS_TYPES
#define SOCKOWNER_NO_WINDOWS_ERRORS
#endif

#include <sockowner/iphlpapi.h>

#if NAMES == 1 || NAMES == 3 /* and behind */
#if NAMES == 1
typedef unsigned int DWORD;
typedef int BOOL;
#endif
#define FALSE 0
#elif NAMES == 4
typedef unsigned long DWORD;
typedef short WCHAR;
#define BOOL char
#define WINAPI __attribute__((__noinline__))
#define TRUE (!FALSE)
#define ANY_SIZE 0
enum { FALSE, NO_ERROR, ERROR_NOT_FOUND = 404 };
#endif

int use(MIB_TCPROW_OWNER_MODULE *row);
int use(MIB_TCPROW_OWNER_MODULE *row) {
    uint32_t size = 0;
    return GetOwnerModuleFromTcpEntry(row, TCPIP_OWNER_MODULE_INFO_BASIC, NULL, &size) == 122;
}

#if NAMES == 2 || NAMES == 4
SOCKOWNER_ASSERT(own, sizeof(DWORD) == sizeof(long))
#ifdef ERROR_INSUFFICIENT_BUFFER
#error "a name was not left out"
#endif
#endif
