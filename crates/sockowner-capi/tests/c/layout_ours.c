/* Our header alone, in any C or C++, with any width of wchar_t. */
#include <sockowner/iphlpapi.h>

#include "layout.h"

/* What is in the reference pages and not in mingw-w64's headers. */
SOCKOWNER_ASSERT_V(MIB_TCP_STATE_RESERVED, 100)
SOCKOWNER_ASSERT_S(MIB_TCPROW_LH, 20, 4)
SOCKOWNER_ASSERT(addresses, sizeof(IN6_ADDR) == 16)
SOCKOWNER_ASSERT(ten, AF_INET6 == 10)
MIB_TCP_STATE state(MIB_TCPROW *row);
MIB_TCP_STATE state(MIB_TCPROW *row) {
    return row->State;
}

/* Literals have the type of WCHAR. */
#if defined(__cplusplus) || (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L)
#if __SIZEOF_WCHAR_T__ == 2
static const WCHAR name[] = L"ssh.service";
#else
static const WCHAR name[] = u"ssh.service";
#endif
const WCHAR *literal(void);
const WCHAR *literal(void) {
    return name;
}
#endif
