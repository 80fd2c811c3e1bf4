/* Our headers stand before, behind and between the system's. ORDER chooses which; 0: before all. */
#ifndef ORDER
#define ORDER 0
#endif

#if ORDER == 1 /* the system's first */
#include <sys/types.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#elif ORDER == 2 /* the system's in another order, with all that speaks of addresses and of errors */
#include <resolv.h>
#include <netdb.h>
#include <net/if.h>
#include <arpa/nameser.h>
#include <netinet/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <wchar.h>
#elif ORDER == 3 /* the kernel's */
#include <linux/in.h>
#include <linux/tcp.h>
#elif ORDER == 4
#include <linux/in6.h>
#include <linux/inet_diag.h>
#elif ORDER == 5 /* the directory for ports, as a program for Windows has it */
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>
#include <iphlpapi.h>
#elif ORDER == 6
#include <windows.h>
#include <udpmib.h>
#include <tcpmib.h>
#include <iprtrmib.h>
#include <winsock2.h>
#elif ORDER == 7 /* our other header */
#include <sockowner/sockowner.h>
#endif

#include <sockowner/iphlpapi.h>
#include <sockowner/iphlpapi.h>

#if ORDER != 3 /* after the kernel's <linux/in.h> nobody may include libc's */
#include <sys/socket.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <net/if.h>
#include <netdb.h>
#include <resolv.h>
#if ORDER == 0
#include <linux/in.h>
#include <linux/in6.h>
#endif
#include <ws2tcpip.h>
#include <iphlpapi.h>
#include "layout.h"
#endif
#include <sockowner/sockowner.h>

int use(void);
int use(void) {
    MIB_TCP6ROW row = {MIB_TCP_STATE_LISTEN, {{{0}}}, 0, 0, {{{0}}}, 0, 0};
    DWORD size = sizeof row;
    return GetTcp6Table(NULL, &size, FALSE) == ERROR_INSUFFICIENT_BUFFER && row.LocalAddr.s6_addr[0] == 0;
}
