/* header_text.h - header frames written as text, packed by msgpack-c and not by what is tested: "v=1 id=7 op=search k=10 x=nil
 * min_coverage=0.5 by_id=true". A value is an unsigned or negative integer, a number with a point, true, false, nil, or else a string. */
#ifndef SUPPORT_HEADER_TEXT_H
#define SUPPORT_HEADER_TEXT_H

#include "common/buf.h"

/* Appends the map to *out. */
void header_from_text(const char *text, struct buf *out);

#endif
