/* check.c - the end of a process that found itself in an impossible state. */
#include "common/check.h"

#include <stdlib.h>

#include "common/log.h"

void check_failed(const char *what, const char *file, int line)
{
	log_error("impossible state: %s does not hold at %s:%d; the process ends so that nothing is damaged", what, file, line);
	abort();
}
