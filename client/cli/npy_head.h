/* npy_head.h - the head of a file in NumPy's format, for those that read its elements. */
#ifndef CLIENT_CLI_NPY_HEAD_H
#define CLIENT_CLI_NPY_HEAD_H

#include "client/cli/read_bytes.h"

/* sizes[0] is the first dimension, sizes[1] the product of the others (1 if there are none). */
struct npy_head { char descr[8]; uint32_t dimensions; uint64_t sizes[2]; size_t bytes; };

/* Reads it from the beginning of the file; what follows are the elements, in C order. The sentence names the file. */
MUST_CHECK enum status npy_head_read(struct bytes_file *file, struct npy_head *ret, struct report *report);

#endif
