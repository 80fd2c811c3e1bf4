/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * For ports, see windows.h: inet_ntop and INET6_ADDRSTRLEN are the system's own, IN6_ADDR is its struct in6_addr.
 */
#ifndef SOCKOWNER_WINDOWS_WS2TCPIP_H
#define SOCKOWNER_WINDOWS_WS2TCPIP_H

#include "winsock2.h"

#endif
