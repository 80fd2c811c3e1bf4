/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Types, constants and error codes under their Windows names. Part of <sockowner/iphlpapi.h>: include that.
 *
 * Our declarations use only C's own types, so both groups of names below can be left out by a program that has names
 * of its own. Aliases that say the same may be there twice, before or after (C11, C++; in C99 leave ours out).
 *
 *   SOCKOWNER_NO_WINDOWS_TYPES   no DWORD, BOOL, WCHAR, ... and no WINAPI, TRUE, FALSE, ANY_SIZE
 *   SOCKOWNER_NO_WINDOWS_ERRORS  no NO_ERROR, ERROR_...
 */
#ifndef SOCKOWNER_IPHLPAPI_TYPES_H
#define SOCKOWNER_IPHLPAPI_TYPES_H

#ifdef _WIN32
#error "on Windows include <sockowner/iphlpapi.h>: it takes the system's own types"
#endif

#include <stddef.h>
#include <stdint.h>

/* struct in6_addr, AF_INET and AF_INET6. The kernel's header and libc's cannot follow one another in this order, so a
 * program that began with the former stays with it. */
#if defined(_LINUX_IN_H) || defined(_UAPI_LINUX_IN_H) || defined(_LINUX_IN6_H) || defined(_UAPI_LINUX_IN6_H)
#include <linux/in6.h>
#else
#include <netinet/in.h>
#endif

#ifdef __GNUC__
#define SOCKOWNER_EXTENSION __extension__ /* anonymous members, in languages older than they */
#define SOCKOWNER_ALIGN8 __attribute__((__aligned__(8))) /* 64-bit members, where the machine asks for 4 only */
#else
#define SOCKOWNER_EXTENSION
#define SOCKOWNER_ALIGN8
#endif

/* One UTF-16 code unit. wchar_t only where it has 16 bits (-fshort-wchar), so that L"" has this type there, and u""
 * everywhere else. */
#if (defined(__SIZEOF_WCHAR_T__) && __SIZEOF_WCHAR_T__ == 2) || (defined(__WCHAR_MAX__) && __WCHAR_MAX__ <= 0xFFFF)
typedef wchar_t sockowner_wchar;
#elif defined(__cplusplus)
typedef char16_t sockowner_wchar;
#else
typedef uint_least16_t sockowner_wchar; /* what C calls char16_t */
#endif

/* A signed 64-bit number, whole or in halves. */
#if defined(__BYTE_ORDER__) && defined(__ORDER_BIG_ENDIAN__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define SOCKOWNER_HALVES int32_t HighPart; uint32_t LowPart;
#else
#define SOCKOWNER_HALVES uint32_t LowPart; int32_t HighPart;
#endif
typedef union sockowner_large_integer {
    SOCKOWNER_EXTENSION struct { SOCKOWNER_HALVES };
    struct { SOCKOWNER_HALVES } u;
    long long QuadPart;
} SOCKOWNER_ALIGN8 sockowner_large_integer;
#undef SOCKOWNER_HALVES

#ifndef SOCKOWNER_NO_WINDOWS_TYPES

typedef unsigned char UCHAR;
typedef uint16_t USHORT;
typedef int32_t LONG;
typedef uint32_t ULONG, *PULONG;
typedef uint32_t DWORD, *PDWORD;
typedef long long LONGLONG;
typedef unsigned long long ULONGLONG, *PULONGLONG;
typedef sockowner_large_integer LARGE_INTEGER, *PLARGE_INTEGER;
typedef sockowner_wchar WCHAR, *PWCHAR;
typedef void *PVOID;
typedef struct in6_addr IN6_ADDR, *PIN6_ADDR;
#ifndef BOOL /* a macro in some ODBC headers */
typedef int BOOL;
#endif
#ifndef TRUE
#define TRUE 1
#endif
#ifndef FALSE
#define FALSE 0
#endif
#ifndef WINAPI
#define WINAPI /* one calling convention is all there is */
#endif
#ifndef ANY_SIZE
#define ANY_SIZE 1
#endif

#endif /* SOCKOWNER_NO_WINDOWS_TYPES */

#ifndef SOCKOWNER_NO_WINDOWS_ERRORS

#ifndef NO_ERROR
#define NO_ERROR 0
#endif
#ifndef ERROR_SUCCESS
#define ERROR_SUCCESS 0
#endif
#ifndef ERROR_ACCESS_DENIED
#define ERROR_ACCESS_DENIED 5
#endif
#ifndef ERROR_NOT_ENOUGH_MEMORY
#define ERROR_NOT_ENOUGH_MEMORY 8
#endif
#ifndef ERROR_GEN_FAILURE
#define ERROR_GEN_FAILURE 31
#endif
#ifndef ERROR_NOT_SUPPORTED
#define ERROR_NOT_SUPPORTED 50
#endif
#ifndef ERROR_INVALID_PARAMETER
#define ERROR_INVALID_PARAMETER 87
#endif
#ifndef ERROR_INSUFFICIENT_BUFFER
#define ERROR_INSUFFICIENT_BUFFER 122
#endif
#ifndef ERROR_PARTIAL_COPY
#define ERROR_PARTIAL_COPY 299
#endif
#ifndef ERROR_NOT_FOUND
#define ERROR_NOT_FOUND 1168
#endif
#ifndef ERROR_INTERNAL_ERROR
#define ERROR_INTERNAL_ERROR 1359
#endif

#endif /* SOCKOWNER_NO_WINDOWS_ERRORS */

#endif
