/* On Windows our header is the system's. Compiled by mingw-w64. */
#include <sockowner/iphlpapi.h>

#include "layout.h"

#ifdef SOCKOWNER_IPHLPAPI_ROWS_H
#error "these are our declarations"
#endif
