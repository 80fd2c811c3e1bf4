/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * For ports, see windows.h: addresses and byte order (ntohs, htonl, inet_ntoa) are the system's own.
 */
#ifndef SOCKOWNER_WINDOWS_WINSOCK2_H
#define SOCKOWNER_WINDOWS_WINSOCK2_H

#include "windows.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#ifndef SOCKOWNER_NO_WINDOWS_TYPES
typedef struct in_addr IN_ADDR, *PIN_ADDR;
#endif

#endif
