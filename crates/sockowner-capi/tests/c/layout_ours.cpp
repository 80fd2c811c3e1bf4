// The same as C++.
#include <type_traits>

#include "layout_ours.c"

#if __SIZEOF_WCHAR_T__ == 2
static_assert(std::is_same<WCHAR, wchar_t>::value, "WCHAR");
#else
static_assert(std::is_same<WCHAR, char16_t>::value, "WCHAR");
#endif
static_assert(std::is_trivial<MIB_TCPTABLE_OWNER_MODULE>::value, "plain data");
static_assert(std::is_standard_layout<MIB_UDP6TABLE_OWNER_MODULE>::value, "plain data");
