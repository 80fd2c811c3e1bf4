// The same as C++.
#include "layout_mingw.c"
