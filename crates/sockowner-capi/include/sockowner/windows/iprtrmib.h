/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * For ports, see windows.h: TCPIP_OWNER_MODULE_BASIC_INFO and the table classes, with all the others.
 */
#ifndef SOCKOWNER_WINDOWS_IPRTRMIB_H
#define SOCKOWNER_WINDOWS_IPRTRMIB_H

#include "windows.h"

#include "../iphlpapi_rows.h"

#endif
