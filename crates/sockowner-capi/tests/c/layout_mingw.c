/* The oracle: mingw-w64's own declarations have the layout of our list. Compiled for Windows, for 64 and 32 bits. */
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>
#include <iphlpapi.h>

#ifdef SOCKOWNER_IPHLPAPI_ROWS_H
#error "these are our declarations, not mingw-w64's"
#endif

#include "layout.h"

SOCKOWNER_ASSERT_V(AF_INET6, 23)
