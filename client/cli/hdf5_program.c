/* hdf5_program.c - grove-read-hdf5: one dataset of the HDF5 file on standard input, as the stream of hdf5_stream.h.
 *
 * A program of its own for two reasons. libhdf5 was not made for hostile files: it crashes on damaged ones, and asks for memory that
 * their numbers name; here that ends one child, whose limits are set before it opens anything, and `grove` says so. And it brings some
 * thirty libraries, which no other command should have to load.
 *
 * A file can also ask for other files: by external links, external raw data, virtual datasets, and filters that are loaded by name. All of
 * that is refused or switched off: only a plain dataset of the root group is read, stored in the file itself and written whole. */
#include <hdf5.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client/cli/hdf5_stream.h"
#include "common/limits.h"
#include "common/status.h"

enum {
	NAMES_MAX = 200, /* bytes of the names that a sentence lists */
	READ_BYTES = 1 << 20,
};
#define BAND_MAX ((uint64_t)1 << 30)   /* bytes in memory of a row of chunks: they are read together, so that each is decompressed once */
#define MEMORY_MAX ((rlim_t)4 << 30) /* of the process */

struct reader {
	hid_t file, dataset, type, memory_type, space, plist;
	struct hdf5_head head;
	uint64_t file_element; /* bytes of an element in the file */
	uint64_t band;	       /* rows that are read together */
	const char *name;
	bool numbers; /* of rows are wanted, not vectors */
	char sentence[HDF5_SENTENCE_MAX];
};

static enum status refuse(struct reader *r, enum status status, const char *fmt, ...) PRINTF_LIKE(3, 4);
static enum status refuse(struct reader *r, enum status status, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vsnprintf(r->sentence, sizeof(r->sentence), fmt, args);
	va_end(args);
	r->head.status = status;
	return status;
}

static void limits_set(void)
{
	const struct rlimit memory = {MEMORY_MAX, MEMORY_MAX}, none = {0, 0};
	setrlimit(RLIMIT_AS, &memory);
	setrlimit(RLIMIT_CORE, &none);
	setrlimit(RLIMIT_FSIZE, &none);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1); /* nothing is written, and the file may be on a folder that knows no locks */
	unsetenv("HDF5_DRIVER");
	H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
	H5PLset_loading_state(0);
}

static herr_t name_add(hid_t group, const char *name, const H5L_info_t *info, void *context)
{
	char *names = context;
	size_t used = strlen(names);
	(void)group;
	(void)info;
	if (used + strlen(name) + 2 >= NAMES_MAX) return 1; /* enough */
	snprintf(names + used, NAMES_MAX - used, "%s%s", used ? ", " : "", name);
	return 0;
}

static enum status dataset_find(struct reader *r, const char *name)
{
	H5L_info_t link;
	char names[NAMES_MAX] = "";
	if (strchr(name, '/') || H5Lexists(r->file, name, H5P_DEFAULT) <= 0) {
		H5Literate(r->file, H5_INDEX_NAME, H5_ITER_INC, NULL, name_add, names);
		return refuse(r, STATUS_NOT_FOUND, "has no dataset '%.40s' (it has: %s): say --%s NAME", name, *names ? names : "none",
			r->numbers ? "truth" : "dataset");
	}
	if (H5Lget_info(r->file, name, &link, H5P_DEFAULT) < 0 || link.type != H5L_TYPE_HARD)
		return refuse(r, STATUS_UNSUPPORTED, "has a link in the place of the dataset '%.40s': only what is in the file itself is read", name);
	r->dataset = H5Dopen2(r->file, name, H5P_DEFAULT);
	if (r->dataset < 0) return refuse(r, STATUS_BAD_REQUEST, "has something in the place of the dataset '%.40s' that is none", name);
	return STATUS_OK;
}

/* How its elements are given to us: floats of any width as float32, bytes and NumPy's bool (an enum of one byte) as bytes. Numbers of rows
 * as i64. */
static enum status type_choose(struct reader *r)
{
	r->type = H5Dget_type(r->dataset);
	H5T_class_t class = H5Tget_class(r->type);
	r->file_element = H5Tget_size(r->type);
	r->head.element = 1;
	if (r->numbers) {
		if (class != H5T_INTEGER || r->file_element > 8)
			return refuse(r, STATUS_UNSUPPORTED, "has elements in the dataset '%.40s' that are no whole numbers of at most 8 bytes", r->name);
		r->head.element = 8;
		r->memory_type = H5T_NATIVE_INT64;
	} else if (class == H5T_FLOAT && r->file_element <= 8) {
		r->head.element = 4;
		r->memory_type = H5T_NATIVE_FLOAT;
	} else if (class == H5T_INTEGER && r->file_element == 1 && H5Tget_sign(r->type) == H5T_SGN_NONE) {
		r->memory_type = H5T_NATIVE_UCHAR;
	} else if (class == H5T_ENUM && r->file_element == 1 && H5Tget_nmembers(r->type) == 2) {
		r->memory_type = r->type;
	} else {
		return refuse(r, STATUS_UNSUPPORTED, "has elements in this dataset that are neither floats of at most 8 bytes, nor bytes, nor bool");
	}
	return STATUS_OK;
}

static enum status shape_read(struct reader *r)
{
	hsize_t dims[2] = {0, 0};
	uint64_t bytes;
	r->space = H5Dget_space(r->dataset);
	if (H5Sget_simple_extent_ndims(r->space) != 2 || H5Sget_simple_extent_dims(r->space, dims, NULL) != 2)
		return refuse(r, STATUS_BAD_REQUEST, "has a dataset there that is not of two dimensions: vectors, and numbers in a vector");
	if (dims[1] < 1 || dims[1] > DIM_MAX)
		return refuse(r, STATUS_LIMIT, "has vectors of %" PRIu64 " numbers; 1 to %d are possible", (uint64_t)dims[1], DIM_MAX);
	if (dims[0] < 1) return refuse(r, STATUS_BAD_REQUEST, "has no vectors in this dataset");
	if (__builtin_mul_overflow((uint64_t)dims[0], (uint64_t)dims[1] * 8, &bytes))
		return refuse(r, STATUS_CORRUPT, "says it has %" PRIu64 " vectors, which no file can hold", (uint64_t)dims[0]);
	r->head.rows = dims[0];
	r->head.dim = (uint32_t)dims[1];
	return STATUS_OK;
}

static enum status chunks_check(struct reader *r)
{
	hsize_t chunk[2] = {0, 0}, written = 0;
	if (H5Pget_chunk(r->plist, 2, chunk) != 2 || !chunk[0] || !chunk[1]) return refuse(r, STATUS_CORRUPT, "has a damaged dataset: its chunks have no size");
	uint64_t down = (r->head.rows - 1) / chunk[0] + 1, across = (r->head.dim - 1) / chunk[1] + 1, rows = chunk[0], bytes;
	if (__builtin_mul_overflow(rows, across * chunk[1] * (r->file_element > 4 || r->numbers ? 8 : 4), &bytes) || bytes > BAND_MAX)
		return refuse(r, STATUS_LIMIT, "has a dataset in chunks of more than 1 GiB: write it with smaller ones");
	if (H5Dget_num_chunks(r->dataset, r->space, &written) < 0 || written != down * across)
		return refuse(r, STATUS_CORRUPT, "has a dataset that is not written whole: it is cut off or damaged");
	r->band = rows;
	return STATUS_OK;
}

/* That all of it is in this file. */
static enum status storage_check(struct reader *r)
{
	r->plist = H5Dget_create_plist(r->dataset);
	H5D_layout_t layout = r->plist < 0 ? H5D_LAYOUT_ERROR : H5Pget_layout(r->plist);
	if (layout == H5D_VIRTUAL || H5Pget_external_count(r->plist) > 0)
		return refuse(r, STATUS_UNSUPPORTED, "has a dataset that is made of other files: only what is in the file itself is read");
	r->band = 1;
	if (layout == H5D_CHUNKED) return chunks_check(r);
	if (layout != H5D_CONTIGUOUS && layout != H5D_COMPACT) return refuse(r, STATUS_CORRUPT, "has a damaged dataset: its layout is none");
	if (H5Dget_storage_size(r->dataset) != r->head.rows * r->head.dim * r->file_element)
		return refuse(r, STATUS_CORRUPT, "has a dataset that is not written whole: it is cut off or damaged");
	return STATUS_OK;
}

static enum status reader_open(struct reader *r)
{
	r->file = H5Fopen("/proc/self/fd/0", H5F_ACC_RDONLY, H5P_DEFAULT);
	if (r->file < 0) return refuse(r, STATUS_CORRUPT, "is no HDF5 file, or is damaged");
	enum status status = dataset_find(r, r->name);
	if (status == STATUS_OK) status = type_choose(r);
	if (status == STATUS_OK) status = shape_read(r);
	if (status == STATUS_OK) status = storage_check(r);
	return status;
}

static bool write_all(const void *bytes, size_t n)
{
	alarm(0); /* how long the reader takes is its own affair */
	for (size_t done = 0; done < n;) {
		ssize_t wrote = write(STDOUT_FILENO, (const char *)bytes + done, n - done);
		if (wrote <= 0) return false;
		done += (size_t)wrote;
	}
	alarm(HDF5_STALL_S);
	return true;
}

/* All rows. False: the file is damaged further on, or nobody reads any more; the stream then ends too early. */
static bool rows_write(struct reader *r)
{
	uint64_t row_bytes = (uint64_t)r->head.dim * r->head.element, at_once = r->band;
	if (at_once * row_bytes < READ_BYTES) at_once *= READ_BYTES / (at_once * row_bytes);
	if (at_once > r->head.rows) at_once = r->head.rows;
	uint8_t *rows = calloc(at_once, row_bytes); /* of a damaged file not all may be written */
	bool whole = rows != NULL;
	for (uint64_t first = 0; whole && first < r->head.rows; first += at_once) {
		hsize_t n = r->head.rows - first < at_once ? r->head.rows - first : at_once;
		const hsize_t start[2] = {first, 0}, count[2] = {n, r->head.dim};
		hid_t memory = H5Screate_simple(2, count, NULL);
		whole = memory >= 0 && H5Sselect_hyperslab(r->space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
			H5Dread(r->dataset, r->memory_type, memory, r->space, H5P_DEFAULT, rows) >= 0 && write_all(rows, n * row_bytes);
		if (memory >= 0) H5Sclose(memory);
	}
	free(rows);
	return whole;
}

int main(int argc, char **argv)
{
	struct reader r = {.file = -1, .dataset = -1, .type = -1, .memory_type = -1, .space = -1, .plist = -1};
	if (argc != 2 && !(argc == 3 && strcmp(argv[2], HDF5_NUMBERS) == 0)) {
		fprintf(stderr, "grove-read-hdf5: `grove import` runs this program; it is of no use alone\n");
		return 2;
	}
	r.name = argv[1];
	r.numbers = argc == 3;
	memcpy(r.head.magic, HDF5_MAGIC, sizeof(r.head.magic));
	signal(SIGALRM, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	alarm(HDF5_STALL_S);
	limits_set();
	if (reader_open(&r) != STATUS_OK) {
		r.head.rows = strlen(r.sentence);
		return write_all(&r.head, sizeof(r.head)) && write_all(r.sentence, r.head.rows) ? 0 : 1;
	}
	bool whole = write_all(&r.head, sizeof(r.head)) && rows_write(&r);
	_exit(whole ? 0 : 1); /* what the library would tidy up goes with the process */
}
