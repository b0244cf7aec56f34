/* hdf5_stream.h - what grove-read-hdf5 writes to its standard output, and `grove` reads: this head, then the rows, or a sentence of head.rows
 * bytes that goes on from the file's name ("has no dataset 'train'"). The file is its standard input; the dataset's name its first argument, and
 * HDF5_NUMBERS the second, if there is one. */
#ifndef CLIENT_CLI_HDF5_STREAM_H
#define CLIENT_CLI_HDF5_STREAM_H

#include <stdint.h>

struct hdf5_head {
	char magic[4];
	int32_t status; /* enum status */
	uint64_t rows;
	uint32_t dim, element; /* bytes of an element: 1 (u8), 4 (float32), or 8 (i64) if numbers are wanted */
};
static const char HDF5_MAGIC[4] = {'G', 'H', '5', '1'};
#define HDF5_NUMBERS "numbers" /* the dataset has numbers of rows, not vectors */

enum {
	HDF5_SENTENCE_MAX = 400,
	/* Nothing from the library for that long: it goes round in circles on a damaged file. */
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
	HDF5_STALL_S = 2,
#else
	HDF5_STALL_S = 60,
#endif
};

#endif
