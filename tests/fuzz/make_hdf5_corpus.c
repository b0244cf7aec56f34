/* make_hdf5_corpus.c - writes valid HDF5 files, the seeds of the fuzz target dataset_hdf5: make_hdf5_corpus CORPUS. The bytes of those
 * of 4 vectors of 64 numbers are even: that is where the bug is planted. They are long, for an input costs a process. `layout` is that of ann-benchmarks. Beside them stands f32_4x2_crash, found by mutating f32_4x2_chunked_old: libhdf5 1.10.8 crashes on it. */
#include <stdio.h>

#include "tests/support/hdf5_file.h"

static const float values[12] = {0, 2, 4, 6, 8, 10, 128, 254, 1, 3, 5, 7};

static float even[256];

static hid_t file_make(const char *corpus, const char *name, bool newest)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/dataset_hdf5/%s", corpus, name);
	return hdf5_file_make(path, newest);
}

static void one(const char *corpus, const char *name, bool newest, struct hdf5_form form, hsize_t rows, hsize_t dim)
{
	hid_t file = file_make(corpus, name, newest);
	hdf5_file_add(file, "train", form, rows, dim, H5T_NATIVE_FLOAT, dim == 64 ? even : values);
	require(H5Fclose(file) >= 0);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: make_hdf5_corpus CORPUS\n");
		return 2;
	}
	for (size_t i = 0; i < 256; i++) even[i] = (float)(2 * (i % 3)); /* as float32: 0, 40000000 and 40800000 */
	one(argv[1], "u8_4x64", true, (struct hdf5_form){.type = H5T_STD_U8LE}, 4, 64);
	one(argv[1], "f32_4x64_old", false, (struct hdf5_form){.type = H5T_IEEE_F32LE}, 4, 64);
	one(argv[1], "f32_4x2", true, (struct hdf5_form){.type = H5T_IEEE_F32LE}, 4, 2);
	one(argv[1], "f32_4x2_chunked", true, (struct hdf5_form){.type = H5T_IEEE_F32LE, .chunk = {2, 2}, .deflate = true}, 4, 2);
	one(argv[1], "f32_4x2_chunked_old", false, (struct hdf5_form){.type = H5T_IEEE_F32LE, .chunk = {2, 2}, .deflate = true}, 4, 2);
	one(argv[1], "f64_3x2_big", true, (struct hdf5_form){.type = H5T_IEEE_F64BE, .compact = true}, 3, 2);
	hid_t file = file_make(argv[1], "layout", true);
	const struct hdf5_form floats = {.type = H5T_IEEE_F32LE, .compact = true}, numbers = {.type = H5T_STD_I32LE, .compact = true};
	hdf5_file_add(file, "train", floats, 6, 2, H5T_NATIVE_FLOAT, values);
	hdf5_file_add(file, "test", floats, 2, 2, H5T_NATIVE_FLOAT, values + 2);
	hdf5_file_add(file, "neighbors", numbers, 2, 1, H5T_NATIVE_FLOAT, values);
	hdf5_file_add(file, "distances", floats, 2, 1, H5T_NATIVE_FLOAT, values);
	require(H5Fclose(file) >= 0);
	file = file_make(argv[1], "no_train", true);
	hdf5_file_add(file, "vectors", floats, 6, 2, H5T_NATIVE_FLOAT, values);
	require(H5Fclose(file) >= 0);
	return 0;
}
