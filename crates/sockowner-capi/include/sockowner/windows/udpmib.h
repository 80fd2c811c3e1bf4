/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * For ports, see windows.h: rows and tables of UDP, with all the others.
 */
#ifndef SOCKOWNER_WINDOWS_UDPMIB_H
#define SOCKOWNER_WINDOWS_UDPMIB_H

#include "windows.h"

#include "../iphlpapi_rows.h"

#endif
