/* commands.c - the table of commands: one row is all that the program knows of a verb. */
#include "client/cli/dataset.h"
#include "client/cli/verbs.h"

#define ANY_NUMBER SIZE_MAX

const struct option common_options[] = {
	{"endpoint", 0, "ENDPOINT", "the coordinator; default: GROVE_ENDPOINT, else tcp://127.0.0.1:7600", false},
	{"timeout", 0, "MS", "how long one request may take, 1 to 600000", false},
	{"json", 0, NULL, "machine-readable output on stdout", false},
	{"no-color", 0, NULL, "no colours (also: the environment variable NO_COLOR)", false},
	{"help", 'h', NULL, "this text", false},
	{0, 0, 0, 0, 0},
};

static const struct option no_options[] = {{0, 0, 0, 0, 0}};

static const struct example up_examples[] = {
	{"grove up --workers 2", "a coordinator and two workers, with data in ~/.local/share/grove"},
	{"grove up --workers 4 --data ./trial --port 7700", "another cluster beside it: clients at 7700, workers at 7701"},
	{0, 0},
};
static const struct option up_options[] = {
	{"workers", 0, "N", "how many workers to start, 1 to 64; default 2", false},
	{"data", 0, "DIR", "where everything is stored; default $XDG_DATA_HOME/grove", false},
	{"port", 0, "PORT", "the clients' port; workers connect to the next one; default 7600", false},
	{0, 0, 0, 0, 0},
};

static const struct example create_examples[] = {
	{"grove create clothes --dim 784 --metric euclidean", "one shard for each worker that is present, 10 trees"},
	{"grove create words --dim 300 --metric angular --shards 8 --trees 20 --seed 7", "all of it chosen"},
	{0, 0},
};
static const struct option create_options[] = {
	{"dim", 0, "D", "numbers in a vector, 1 to 65536", false},
	{"metric", 0, "M", "angular, euclidean, manhattan, hamming or dot", false},
	{"shards", 0, "S", "parts, 1 to 4096; default: the workers present", false},
	{"trees", 0, "T", "trees of a forest, 1 to 10000; default 10", false},
	{"seed", 0, "N", "for the random choices of the build; default 0", false},
	{0, 0, 0, 0, 0},
};

static const struct example import_examples[] = {
	{"grove import clothes train-images-idx3-ubyte.gz --labels train-labels-idx1-ubyte.gz",
		"60,000 images, each with a payload {label: ...}"},
	{"grove import words a.npy b.npy --start-id 1000", "ids 1000, 1001, ... through both files"},
	{"grove import words vectors.csv --ids ids.txt", "ids from a file, one a line"},
	{"grove import glove glove-100-angular.hdf5", "the dataset train of a file in the layout of ann-benchmarks"},
	{"grove import words items.jsonl", "a line for each item: {\"key\": \"boot-42\", \"vector\": [1, 0], \"payload\": {...}}"},
	{"grove import songs old.ann --metric angular --dim 40", "an index file of Annoy: its items, and trees built anew"},
	{"grove import words - --format csv < vectors.csv", "from standard input"},
	{0, 0},
};
static const struct option import_options[] = {
	{"format", 0, "F", DATASET_FORMATS "; default: by the file's name, or its first bytes", false},
	{"dataset", 0, "NAME", "of an HDF5 file, which of its datasets; default train", false},
	{"start-id", 0, "N", "the first item's id; default 0", false},
	{"ids", 0, "FILE", "ids, as many as there are vectors: text with one a line, or .npy", false},
	{"metric", 0, "M", "make the index if it is not there (with --dim); if it is, it has to have this metric", false},
	{"dim", 0, "D", "the same for the numbers in a vector", false},
	{"labels", 0, "FILE", "labels (idx, or text with one a line), stored as payload {label: ...}", false},
	{0, 0, 0, 0, 0},
};

static const struct example export_examples[] = {
	{"grove export words words.jsonl", "ids, keys, vectors and payloads, a JSON object a line"},
	{"grove export words words.npy --ids ids.npy", "the vectors for NumPy, and beside them the ids in the same order"},
	{"grove export words words.ann --trees 50", "trees and all, for annoy.AnnoyIndex.load()"},
	{"grove export words - | head -3", "the first three items, by id"},
	{0, 0},
};
static const struct option export_options[] = {
	{"format", 0, "F", "npy (vectors; a hamming index's as packed bits), jsonl, or ann (an index file of Annoy 1.17); default: by the file's name, jsonl for -", false},
	{"trees", 0, "T", "with ann: trees to build into the file, 1 to 10000; default: as many as the index has", false},
	{"ids", 0, "FILE", "with npy: write the ids to this file (.npy, or else text with one a line)", false},
	{0, 0, 0, 0, 0},
};

static const struct example put_examples[] = {
	{"grove put points --id 7 --vector '[0.5, 1, -2]'", "insert or replace item 7"},
	{"grove put points --key boot-42 --vector '[1, 0, 0]' --payload '{\"label\": \"boot\"}'", "an item addressed by a key"},
	{0, 0},
};
static const struct option put_options[] = {
	{"id", 0, "N", "the item's id, 0 to 18446744073709551615", false},
	{"key", 0, "K", "instead of an id: 1 to 255 bytes", false},
	{"vector", 0, "JSON", "an array of numbers; 0 and 1 for a hamming index", false},
	{"payload", 0, "JSON", "an object that get and search return, at most 64 KiB", false},
	{0, 0, 0, 0, 0},
};

static const struct example get_examples[] = {
	{"grove get points --id 7", "its vector and payload"},
	{"grove get points --id 7 8 9 --json", "three items, a JSON object a line"},
	{0, 0},
};
static const struct example delete_examples[] = {
	{"grove delete points --id 7", "item 7 never comes back"},
	{"grove delete points --id 7 8 9", "three items"},
	{0, 0},
};
static const struct option id_options[] = {
	{"id", 0, "N", "an id; more may follow", true},
	{0, 0, 0, 0, 0},
};

static const struct example build_examples[] = {
	{"grove build clothes", "build the forest of every shard"},
	{"grove build clothes --trees 40", "more trees: better answers for the same effort, more memory"},
	{0, 0},
};
static const struct option build_options[] = {
	{"trees", 0, "T", "trees of a forest, 1 to 10000; default: the index's own", false},
	{0, 0, 0, 0, 0},
};

static const struct example search_examples[] = {
	{"grove search clothes --id 7 -k 10", "the ten items nearest to item 7"},
	{"grove search points --vector '[0.5, 1, -2]' -k 3 --json", "one JSON object for the query"},
	{"grove search clothes --queries t10k-images-idx3-ubyte.gz -k 10 --limit 10 --sheet out.png --shape 28x28",
		"a picture of ten queries and their neighbours"},
	{"grove search clothes --id 7 -k 10 --recall 0.99", "work harder: find 99 of 100 true neighbours"},
	{"grove search clothes --id 7 -k 10 --exact", "compare with every item"},
	{0, 0},
};
static const struct option search_options[] = {
	{"id", 0, "N", "search near a stored item; may be given again", true},
	{"vector", 0, "JSON", "search near this vector", false},
	{"queries", 0, "FILE", "search near each vector of a file (formats as in import)", false},
	{"format", 0, "F", "the file's format; default: by its name", false},
	{"dataset", 0, "NAME", "of an HDF5 file, which of its datasets; default test", false},
	{"query-labels", 0, "FILE", "labels of the queries, shown with them (formats as in import --labels)", false},
	{"limit", 0, "N", "only the first N queries of the file", false},
	{"k", 'k', "K", "how many neighbours; default 10", false},
	{"recall", 0, "R", "share of the true neighbours to find, above 0 and below 1; default 0.95", false},
	{"search-k", 0, "N", "instead of a recall: candidates to score in the whole index", false},
	{"mode", 0, "MODE", "graph (default), forest (Annoy's: --search-k, default k x trees) or exact", false},
	{"exact", 0, NULL, "compare with every item: --mode exact", false},
	{"explain", 0, NULL, "say on stderr what each query cost: mode, candidates, shards", false},
	{"min-coverage", 0, "C", "share of the shards (0 to 1) that must answer; default 1", false},
	{"with-payload", 0, NULL, "hits with their payloads", false},
	{"sheet", 0, "FILE", "write queries and neighbours as a grid of images (PNG); needs --shape", false},
	{"shape", 0, "WxH[x3]", "width and height of an image: 28x28; 32x32x3 in colour, 3x32x32 where the colours stand apart", false},
	{0, 0, 0, 0, 0},
};

static const struct example recall_examples[] = {
	{"grove recall clothes --queries t10k-images-idx3-ubyte.gz -k 10 --limit 1000", "a table: recall wanted and measured, work and speed"},
	{"grove recall glove --queries glove-100-angular.hdf5 --truth neighbors", "against the neighbours that a file of ann-benchmarks gives, without an exact search"},
	{"grove recall clothes --queries q.npy -k 10 --mode forest --efforts 500,2000,10000 --json", "at chosen budgets, Annoy's way"},
	{0, 0},
};
static const struct option recall_options[] = {
	{"queries", 0, "FILE", "vectors to search near (formats as in import)", false},
	{"format", 0, "F", "the file's format; default: by its name", false},
	{"dataset", 0, "NAME", "of an HDF5 file, which of its datasets; default test", false},
	{"truth", 0, "NAME", "dataset of the same HDF5 file with the true neighbours, as numbers of rows; default: an exact search", false},
	{"k", 'k', "K", "how many neighbours; default 10", false},
	{"limit", 0, "N", "only the first N queries of the file", false},
	{"mode", 0, "MODE", "graph (default) or forest", false},
	{"efforts", 0, "A,B,...", "wanted recalls (.9,.99) or values of search_k (500,2000); default: .8 to .999, in forest mode k x trees, doubled", false},
	{"recall", 0, "R", "this effort alone: a wanted recall", false},
	{"search-k", 0, "N", "this effort alone: candidates to score in the whole index", false},
	{0, 0, 0, 0, 0},
};

static const struct example list_examples[] = {{"grove list", "all indexes"}, {0, 0}};
static const struct example describe_examples[] = {{"grove describe clothes", "an index and its shards"}, {0, 0}};
static const struct example status_examples[] = {
	{"grove status", "workers and indexes"},
	{"grove status --json", "one JSON object with workers, indexes and shards"},
	{0, 0},
};
static const struct example drop_examples[] = {
	{"grove drop clothes", "asks first, on a terminal"},
	{"grove drop clothes --yes", "does not ask"},
	{0, 0},
};
static const struct option drop_options[] = {{"yes", 'y', NULL, "do not ask", false}, {0, 0, 0, 0, 0}};

const struct command commands[] = {
	{"up", "[--workers N] [--data DIR] [--port P]", "start a local cluster and run it until Ctrl-C", up_examples, up_options,
		0, 0, verb_up},
	{"create", "NAME --dim D --metric M [--shards S] [--trees T] [--seed N]", "make an index", create_examples,
		create_options, 1, 1, verb_create},
	{"import", "NAME FILE... [--format F] [--start-id N] [--ids FILE] [--labels FILE] [--metric M --dim D]",
		"put the vectors of files into an index", import_examples, import_options, 2, ANY_NUMBER, verb_import},
	{"export", "NAME FILE [--format F] [--ids FILE] [--trees T]", "write all items of an index into a file", export_examples, export_options, 2, 2, verb_export},
	{"put", "NAME (--id N | --key K) --vector JSON [--payload JSON]", "insert or replace one item", put_examples, put_options,
		1, 1, verb_put},
	{"get", "NAME --id N...", "show items", get_examples, id_options, 1, ANY_NUMBER, verb_get},
	{"delete", "NAME --id N...", "remove items", delete_examples, id_options, 1, ANY_NUMBER, verb_delete},
	{"build", "NAME [--trees T]", "build the trees of an index", build_examples, build_options, 1, 1, verb_build},
	{"search", "NAME (--id N | --vector JSON | --queries FILE) [-k K] [--recall R | --search-k N | --exact] [--mode M]", "find the nearest items",
		search_examples, search_options, 1, 1, verb_search},
	{"recall", "NAME --queries FILE [--truth NAME] [-k K] [--limit N] [--mode M] [--efforts A,B,...]", "measure answers against exact search, or the truth of a file",
		recall_examples, recall_options, 1, 1, verb_recall},
	{"list", "", "show all indexes", list_examples, no_options, 0, 0, verb_list},
	{"describe", "NAME", "show an index and its shards", describe_examples, no_options, 1, 1, verb_describe},
	{"status", "", "show workers, indexes and shards", status_examples, no_options, 0, 0, verb_status},
	{"drop", "NAME [--yes]", "remove an index and all its items", drop_examples, drop_options, 1, 1, verb_drop},
	{0, 0, 0, 0, 0, 0, 0, 0},
};
