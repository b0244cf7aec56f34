/* ann_layout.c - the table of layouts (ann_layout.h). */
#include "client/cli/ann_layout.h"

#define MINKOWSKI(m) \
	{m, "Annoy", 4, 8, 16, 0, 0, 0}, {m, "scikit-plots", 8, 16, 32, 0, 0, 0}

const struct ann_layout ann_layouts[] = {
	{METRIC_ANGULAR, "Annoy", 4, 4, 12, 4, 0, 0}, /* the norm shares its bytes with the first child */
	{METRIC_ANGULAR, "scikit-plots", 8, 8, 24, 8, 0, 0},
	MINKOWSKI(METRIC_EUCLIDEAN),
	MINKOWSKI(METRIC_MANHATTAN),
	{METRIC_DOT, "Annoy 1.13 to 1.17.3", 4, 4, 16, 0, 12, 0},
	{METRIC_DOT, "Annoy after 1.17.3", 4, 4, 24, 0, 12, 20},
	{METRIC_DOT, "scikit-plots", 8, 8, 36, 0, 24, 32},
	{METRIC_HAMMING, "Annoy 1.17", 4, 4, 16, 0, 0, 0},
	{METRIC_HAMMING, "Annoy before 1.17", 4, 4, 12, 0, 0, 0},
	{METRIC_HAMMING, "scikit-plots", 8, 8, 24, 0, 0, 0},
	{METRIC_ANGULAR, NULL, 0, 0, 0, 0, 0, 0},
};

const struct ann_layout *ann_layout_written(enum metric metric)
{
	const struct ann_layout *l = ann_layouts;
	while (l->metric != metric) l++;
	return l;
}
