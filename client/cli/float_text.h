/* float_text.h - floats as decimal text, for files of many. */
#ifndef CLIENT_CLI_FLOAT_TEXT_H
#define CLIENT_CLI_FLOAT_TEXT_H

#include <stddef.h>

enum { FLOAT_TEXT_MAX = 24 };
/* A finite float as a JSON number that is read back as the same bits, by way of a double or not. Returns its length; no NUL. At most nine digits;
 * some ten times as fast as printf. */
size_t float_text(float v, char out[FLOAT_TEXT_MAX]);

#endif
