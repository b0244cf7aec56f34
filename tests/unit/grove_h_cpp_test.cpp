// grove_h_cpp_test.cpp - the public header is C++ too, with C linkage.
#include "grove.h"

#include <cstring>

int main()
{
	grove_search_args args = {};
	grove_items items = {};
	args.k = 10;
	items.dtype = GROVE_U8;
	return std::strcmp(grove_metric_name(GROVE_DOT), "dot") == 0 && args.mode == GROVE_GRAPH && items.count == 0 ? 0 : 1;
}
