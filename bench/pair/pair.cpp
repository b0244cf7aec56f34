/* pair.cpp - what an engineer writes in an afternoon instead of Grove: hnswlib in some workers, and a proxy that asks all of them and merges.
 *
 *   pair worker SET SHARD SHARDS INDEX-FILE ENDPOINT    rows SHARD, SHARD + SHARDS, ... of the set; built and saved, or found in the file
 *   pair proxy CLIENTS-ENDPOINT WORKER-ENDPOINT...      without workers it answers at once: one round trip of ZeroMQ
 *
 * No more than that: no writes, no deadlines, no health, no partial answers; a worker that dies hangs its queries. One thread each. It is meant to be fast:
 * a message is one query, the proxy never waits for one worker before it asks the next, and any number of queries are under way. Prints
 * one line when it is ready. */
#include <hnswlib/hnswlib.h>
#include <zmq.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "bench/pair/protocol.h"
extern "C" {
#include "bench/peers/set.h"
}

extern "C" void peer_die(const char *sentence)
{
	fprintf(stderr, "pair: %s\n", sentence);
	exit(EXIT_FAILURE);
}

extern "C" char *peer_path(const char *folder, const char *name)
{
	return strdup((std::string(folder) + "/" + name).c_str());
}

namespace {

const size_t M = 16, EF_CONSTRUCTION = 200, SEED = 100;

void must(bool right, const char *what)
{
	if (!right) peer_die((std::string(what) + ": " + zmq_strerror(zmq_errno())).c_str());
}

void *socket_open(void *context, int type, const char *endpoint, bool binds)
{
	void *socket = zmq_socket(context, type);
	int none = 0;

	must(socket && zmq_setsockopt(socket, ZMQ_SNDHWM, &none, sizeof(none)) == 0 && zmq_setsockopt(socket, ZMQ_RCVHWM, &none, sizeof(none)) == 0, endpoint);
	must((binds ? zmq_bind(socket, endpoint) : zmq_connect(socket, endpoint)) == 0, endpoint);
	return socket;
}

void send_part(void *socket, const void *bytes, size_t size, bool more)
{
	must(zmq_send(socket, bytes, size, more ? ZMQ_SNDMORE : 0) >= 0, "send");
}

/* One message, all its parts. False: none is there now (with ZMQ_DONTWAIT). */
bool receive(void *socket, int flags, std::vector<std::string> &parts)
{
	int more = 1;

	parts.clear();
	while (more) {
		zmq_msg_t message;
		size_t size = sizeof(more);
		zmq_msg_init(&message);
		if (zmq_msg_recv(&message, socket, flags) < 0) {
			must(zmq_errno() == EAGAIN, "receive");
			return false;
		}
		parts.emplace_back(static_cast<const char *>(zmq_msg_data(&message)), zmq_msg_size(&message));
		zmq_msg_close(&message);
		must(zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) == 0, "receive");
	}
	return true;
}

template <typename T> T taken(const std::string &part)
{
	T value;

	if (part.size() != sizeof(value)) peer_die("a message of another kind came");
	memcpy(&value, part.data(), sizeof(value));
	return value;
}

/* ---- a worker ---- */

std::unique_ptr<hnswlib::HierarchicalNSW<float>> graph_of(const peer_set &set, hnswlib::L2Space *space, uint32_t shard, uint32_t shards, const char *file)
{
	if (std::ifstream(file).good()) return std::unique_ptr<hnswlib::HierarchicalNSW<float>>(new hnswlib::HierarchicalNSW<float>(space, file));
	std::unique_ptr<hnswlib::HierarchicalNSW<float>> graph(
		new hnswlib::HierarchicalNSW<float>(space, set.n / shards + 1, M, EF_CONSTRUCTION, SEED));
	for (uint32_t row = shard; row < set.n; row += shards) graph->addPoint(peer_row(&set, row), row);
	std::string part = std::string(file) + ".part";
	graph->saveIndex(part);
	if (rename(part.c_str(), file)) peer_die("the index file cannot be written");
	return graph;
}

void work(const char *folder, uint32_t shard, uint32_t shards, const char *file, const char *endpoint)
{
	peer_set set = set_map(folder, "base");
	if (set.metric != METRIC_EUCLIDEAN) peer_die("only euclidean sets");
	hnswlib::L2Space space(set.dim);
	auto graph = graph_of(set, &space, shard, shards, file);
	void *socket = socket_open(zmq_ctx_new(), ZMQ_DEALER, endpoint, true);
	std::vector<std::string> parts;
	std::vector<pair_hit> hits;
	std::vector<float> query(set.dim);

	puts("ready");
	fflush(stdout);
	while (receive(socket, 0, parts)) {
		if (parts.size() != 3 || parts[2].size() != set.row_bytes) peer_die("a message of another kind came");
		auto request = taken<pair_request>(parts[1]);
		memcpy(query.data(), parts[2].data(), parts[2].size());
		graph->setEf(request.ef);
		auto found = graph->searchKnn(query.data(), request.k);
		hits.resize(found.size());
		for (size_t i = hits.size(); i-- > 0; found.pop()) hits[i] = pair_hit{found.top().second, found.top().first, 0};
		send_part(socket, parts[0].data(), parts[0].size(), true);
		send_part(socket, hits.data(), hits.size() * sizeof(hits[0]), false);
	}
}

/* ---- the proxy ---- */

struct waiting { std::string client; pair_request request; size_t missing; std::vector<pair_hit> hits; };

struct proxy {
	void *clients;
	std::vector<void *> workers;
	std::unordered_map<uint64_t, waiting> open;
	uint64_t tickets = 0;
	std::vector<std::string> parts;

	void ask()
	{
		if (parts.size() != 3) peer_die("a message of another kind came");
		auto request = taken<pair_request>(parts[1]);
		uint64_t ticket = ++tickets;
		auto it = open.emplace(ticket, waiting{parts[0], request, workers.size(), {}}).first;
		if (workers.empty()) answer(it);
		for (void *worker : workers) {
			send_part(worker, &ticket, sizeof(ticket), true);
			send_part(worker, parts[1].data(), parts[1].size(), true);
			send_part(worker, parts[2].data(), parts[2].size(), false);
		}
	}

	void take()
	{
		if (parts.size() != 2) peer_die("a message of another kind came");
		auto it = open.find(taken<uint64_t>(parts[0]));
		if (it == open.end()) peer_die("an answer to no question came");
		waiting &w = it->second;
		size_t had = w.hits.size(), came = parts[1].size() / sizeof(pair_hit);
		auto nearer = [](const pair_hit &a, const pair_hit &b) { return a.distance < b.distance; };
		w.hits.resize(had + came);
		memcpy(w.hits.data() + had, parts[1].data(), came * sizeof(pair_hit));
		std::inplace_merge(w.hits.begin(), w.hits.begin() + (long)had, w.hits.end(), nearer);
		if (w.hits.size() > w.request.k) w.hits.resize(w.request.k);
		if (--w.missing == 0) answer(it);
	}

	void answer(std::unordered_map<uint64_t, waiting>::iterator it)
	{
		const waiting &w = it->second;
		send_part(clients, w.client.data(), w.client.size(), true);
		send_part(clients, &w.request.number, sizeof(w.request.number), true);
		send_part(clients, w.hits.data(), w.hits.size() * sizeof(pair_hit), false);
		open.erase(it);
	}

	void run()
	{
		std::vector<zmq_pollitem_t> items{{clients, 0, ZMQ_POLLIN, 0}};
		for (void *worker : workers) items.push_back({worker, 0, ZMQ_POLLIN, 0});
		for (;;) {
			must(zmq_poll(items.data(), (int)items.size(), -1) >= 0, "poll");
			for (size_t i = 0; i < workers.size(); i++)
				if (items[i + 1].revents)
					while (receive(workers[i], ZMQ_DONTWAIT, parts)) take();
			if (items[0].revents)
				while (receive(clients, ZMQ_DONTWAIT, parts)) ask();
		}
	}
};

void serve(const char *endpoint, char **workers, int count)
{
	void *context = zmq_ctx_new();
	proxy it{socket_open(context, ZMQ_ROUTER, endpoint, true), {}, {}};

	for (int i = 0; i < count; i++) it.workers.push_back(socket_open(context, ZMQ_DEALER, workers[i], false));
	puts("ready");
	fflush(stdout);
	it.run();
}

}

int main(int argc, char **argv)
{
	if (argc == 7 && !strcmp(argv[1], "worker"))
		work(argv[2], (uint32_t)atoi(argv[3]), (uint32_t)atoi(argv[4]), argv[5], argv[6]);
	else if (argc > 2 && !strcmp(argv[1], "proxy"))
		serve(argv[2], argv + 3, argc - 3);
	else
		fprintf(stderr, "usage: pair worker SET SHARD SHARDS INDEX-FILE ENDPOINT | pair proxy CLIENTS-ENDPOINT [WORKER-ENDPOINT...]\n");
	return EXIT_FAILURE;
}
