/* Prints every layout as this compiler has it: "struct size alignment", "struct.field offset size", "name value". */
#include <sockowner/iphlpapi.h>
#include <sockowner/iphlpapi_layout.h>
#include <sockowner/sockowner.h>

#include <stdio.h>

#include "layout_api.h"

#define PRINT(...) printf(__VA_ARGS__);
#define PRINT_S(s, size, align) PRINT("%s %u %u\n", #s, (unsigned)sizeof(s), (unsigned)SOCKOWNER_ALIGNOF(s))
#define PRINT_F(s, f, offset, size) \
    PRINT("%s.%s %u %u\n", #s, #f, (unsigned)offsetof(s, f), (unsigned)SOCKOWNER_SIZEOF_FIELD(s, f))
#define PRINT_V(name, value) PRINT("%s %u\n", #name, (unsigned)(name))
#define PRINT_STRUCT(s) SOCKOWNER_LAYOUT_##s(PRINT_S, PRINT_F, SOCKOWNER_NONE3, s)
#define PRINT_API_S(s, size) PRINT_S(s, size, 0)
#define PRINT_API_F(s, f, offset) PRINT_F(s, f, offset, 0)

int main(void) {
    SOCKOWNER_LAYOUT_STRUCTS(PRINT_STRUCT)
    SOCKOWNER_LAYOUT_SCALARS(PRINT_S)
    SOCKOWNER_LAYOUT_TYPES(PRINT_S)
    SOCKOWNER_LAYOUT_VALUES(PRINT_V)
    SOCKOWNER_LAYOUT_ERRORS(PRINT_V)
    SOCKOWNER_API_LAYOUT(PRINT_API_S, PRINT_API_F)
    return 0;
}
