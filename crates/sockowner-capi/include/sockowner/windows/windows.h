/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * For ports. With -I.../sockowner/windows a program that was written for Windows and uses GetOwnerModuleFromTcpEntry
 * and its family finds its headers here. They hold what that family needs and no more; nothing here is a port of
 * Windows.
 *
 * The porter's own:
 *   - heap (HeapAlloc, LocalFree), handles, GetLastError, FormatMessage, Sleep: use malloc and POSIX;
 *   - WSAStartup, SOCKET, closesocket: Linux needs no start-up, sockets are ints, and this family uses none;
 *   - AF_INET6 is Linux' 10, as it must be for socket() here. GetExtendedTcpTable takes 10 and 23;
 *   - a DWORD is an unsigned int, not an unsigned long: "%u" instead of "%lu", or a cast; u_long has 64 bits;
 *   - struct in_addr has s_addr alone, not S_un; struct in6_addr has s6_addr alone, not u.Byte;
 *   - WCHAR strings: wchar_t has 32 bits, so wprintf, wcslen and L"" are not for them. u"" is; or build the program,
 *     but no library, with -fshort-wchar for L"";
 *   - paths have '/' for '\', and no drive.
 */
#ifndef SOCKOWNER_WINDOWS_WINDOWS_H
#define SOCKOWNER_WINDOWS_WINDOWS_H

#ifdef _WIN32
#error "Windows has headers of its own: leave sockowner/windows out of the include path"
#endif

#include "../iphlpapi_types.h"

#ifndef SOCKOWNER_NO_WINDOWS_TYPES

typedef char CHAR, *PCHAR, *PSTR, *LPSTR;
typedef const char *PCSTR, *LPCSTR;
typedef unsigned char BYTE, *PBYTE, *LPBYTE, *PUCHAR;
typedef uint16_t WORD, *PWORD, *PUSHORT;
typedef int INT;
typedef unsigned int UINT;
typedef uint32_t *LPDWORD;
typedef int *PBOOL, *LPBOOL;
typedef unsigned long long DWORD64, ULONG64;
typedef sockowner_wchar *PWSTR, *LPWSTR;
typedef const sockowner_wchar *PCWSTR, *LPCWSTR;
typedef void *LPVOID;
typedef const void *LPCVOID;

#ifndef FIELD_OFFSET
#define FIELD_OFFSET(type, field) ((LONG)offsetof(type, field))
#endif

#endif /* SOCKOWNER_NO_WINDOWS_TYPES */

#endif
