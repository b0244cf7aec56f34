/* hdf5_file.h - small HDF5 files for tests: of two rows of four numbers and the like. */
#ifndef SUPPORT_HDF5_FILE_H
#define SUPPORT_HDF5_FILE_H

#include <hdf5.h>
#include <stdint.h>

#include "common/check.h"

/* newest: the newest form of everything, whose numbers have checksums; else the oldest one, which has none. Both as small as can be. */
static inline hid_t hdf5_file_make(const char *path, bool newest)
{
	hid_t access = H5Pcreate(H5P_FILE_ACCESS);
	if (newest) H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
	H5Pset_meta_block_size(access, 0);
	H5Pset_small_data_block_size(access, 0);
	hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
	H5Pclose(access);
	require(file >= 0);
	return file;
}

struct hdf5_form {
	hid_t type;	 /* in the file */
	hsize_t chunk[2]; /* 0: contiguous */
	bool deflate, compact;
};

/* values NULL: nothing is written. They are of the type `memory`. */
static inline void hdf5_file_add(
	hid_t file, const char *name, struct hdf5_form form, hsize_t rows, hsize_t dim, hid_t memory, const void *values)
{
	const hsize_t dims[2] = {rows, dim};
	hid_t space = H5Screate_simple(dim ? 2 : 1, dims, NULL), plist = H5Pcreate(H5P_DATASET_CREATE);
	if (form.chunk[0]) H5Pset_chunk(plist, 2, form.chunk);
	if (form.deflate) H5Pset_deflate(plist, 6);
	if (form.compact) H5Pset_layout(plist, H5D_COMPACT);
	hid_t dataset = H5Dcreate2(file, name, form.type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
	require(dataset >= 0);
	if (values) require(H5Dwrite(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
	H5Dclose(dataset);
	H5Pclose(plist);
	H5Sclose(space);
}

#endif
