/* open_files.c - the soft limit is 1024 on most systems, for the sake of programs that use select(). Ours do not, and a shard's log and
 * each connection is a file: a coordinator with 1024 of them would accept nobody any more, without a word to those who connect. */
#include <sys/resource.h>

#include "common/open_files.h"

uint64_t open_files_raise(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
	rlim_t before = limit.rlim_cur;
	rlim_t wanted = limit.rlim_max < OPEN_FILES_WANTED ? limit.rlim_max : OPEN_FILES_WANTED;
	if (before >= wanted) return before;
	limit.rlim_cur = wanted;
	return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? wanted : before;
}
