/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * For ports, see windows.h: the family of GetOwnerModuleFromTcpEntry, its rows and its tables.
 */
#ifndef SOCKOWNER_WINDOWS_IPHLPAPI_H
#define SOCKOWNER_WINDOWS_IPHLPAPI_H

#include "windows.h"

#include "../iphlpapi.h"

#endif
