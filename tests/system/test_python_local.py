#!/usr/bin/python3
"""A program that uses grove.AnnoyIndex with no cluster at hand: one is started, serves forks and children, and ends with the program,
however it ends."""
import glob
import os
import signal
import subprocess
import sys
import tempfile
import unittest

import cluster

PACKAGE = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "client", "python"))
sys.path.insert(0, PACKAGE)
import grove  # noqa: E402  (after the path)
from grove.ann_file import AnnFile  # noqa: E402

FILLED = """
import os, sys, grove
def filled():
    index = grove.AnnoyIndex(2, 'euclidean')
    for i in range(100):
        index.add_item(i, [i, i])
    index.build(3)
    return index
"""


class Local(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="grove-test-")
        self.addCleanup(self.folder.cleanup)
        self.env = dict(os.environ, GROVE_PROGRAM=cluster.program("grove"), PYTHONPATH=PACKAGE, TMPDIR=self.folder.name)
        self.env.pop("GROVE_ENDPOINT", None)

    def start(self, text):
        script = os.path.join(self.folder.name, "script.py")
        with open(script, "w") as f:
            f.write(FILLED + text)
        return subprocess.Popen(["/usr/bin/python3", script], env=self.env, cwd=self.folder.name, text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run_script(self, text):
        script = self.start(text)
        out, err = script.communicate(timeout=240)
        self.assertEqual(script.returncode, 0, err)
        return out, err

    def nothing_is_left(self):
        cluster.wait_for("its folder is gone", 15, lambda: not glob.glob(f"{self.folder.name}/grove-local-*"))
        left = subprocess.run(["pgrep", "-f", self.folder.name], capture_output=True, text=True).stdout.split()
        self.assertEqual(left, [])

    def test_a_script_needs_nothing_but_the_import(self):
        out, err = self.run_script("print(filled().get_nns_by_item(5, 3))")
        self.assertEqual((out, err), ("[5, 4, 6]\n", ""))
        self.nothing_is_left()

    def test_importing_and_constructing_start_nothing(self):
        out, _ = self.run_script("grove.AnnoyIndex(3, 'dot'); print(grove.cluster._embedded)")
        self.assertEqual(out, "None\n")

    def test_it_ends_with_a_program_that_is_killed(self):
        script = self.start("index = filled()\nprint('ready', flush=True)\ninput()")
        self.assertEqual(script.stdout.readline(), "ready\n")
        script.send_signal(signal.SIGKILL)
        script.communicate(timeout=120)
        self.nothing_is_left()

    def test_what_one_program_saves_another_loads(self):
        self.run_script("filled().save('x.ann')")
        self.nothing_is_left()
        out, _ = self.run_script("index = grove.AnnoyIndex(2, 'euclidean')\nindex.load('x.ann')\n"
                                 "print(index.get_nns_by_item(5, 3), index.get_n_trees())")
        self.assertEqual(out, "[5, 4, 6] 3\n")
        self.assertEqual(AnnFile(os.path.join(self.folder.name, "x.ann"), 2, "euclidean").n_trees, 3)  # it is a file of Annoy itself

    def test_what_cannot_be_a_file_of_annoy_is_saved_all_the_same(self):
        self.run_script("index = grove.AnnoyIndex(1, 'euclidean')\nindex.add_item(2**31 - 1, [3])\nindex.build(1)\nindex.save('x.ann')")
        out, _ = self.run_script("index = grove.AnnoyIndex(1, 'euclidean')\nindex.load('x.ann')\nprint(index.get_nns_by_vector([3], 1))")
        self.assertEqual(out, "[2147483647]\n")

    def test_children_of_pools_use_it_and_leave_it_standing(self):
        out, err = self.run_script("""
import multiprocessing
def nearest(i):
    return index.get_nns_by_item(i, 1)[0]
def start(handle):
    global index
    index = handle
if __name__ == '__main__':
    index = filled()
    with multiprocessing.get_context('fork').Pool(2) as pool:
        print(pool.map(nearest, range(10)))
    with multiprocessing.get_context('spawn').Pool(2, start, [index]) as pool:  # as a pickled handle
        print(pool.map(nearest, range(10)))
    child = os.fork()
    if child == 0:
        del index  # not its own to drop
        sys.exit(0)
    os.waitpid(child, 0)
    print(nearest(7))
""")
        self.assertEqual((out, err), ((str(list(range(10))) + "\n") * 2 + "7\n", ""))
        self.nothing_is_left()

    def test_a_fork_in_the_midst_of_another_threads_adding_does_no_harm(self):
        out, err = self.run_script("""
import threading
index = filled()
stop = False
def add():
    i = 100
    while not stop:
        index.add_item(i % 5000 + 100, [i, i])
        i += 1
thread = threading.Thread(target=add)
thread.start()
for _ in range(8):
    child = os.fork()
    if child == 0:
        os._exit(0 if index.get_nns_by_item(5, 1) == [5] and index.get_distance(5, 6) > 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
stop = True
thread.join()
print(index.get_nns_by_item(5, 1))
""")
        self.assertEqual((out, err), ("[5]\n", ""))

    def test_an_index_goes_when_its_object_does(self):
        out, _ = self.run_script("""
index = filled()
client = index.index.client
names = lambda: len(client.indexes())
print(names())
other = filled()
print(names())
other.unload()
print(names())
del index
print(names())
""")
        self.assertEqual(out, "1\n2\n1\n0\n")

    def test_a_ticket_keeps_its_index(self):
        with cluster.Cluster(workers=1) as c:
            self.env["GROVE_ENDPOINT"] = c.endpoint
            out, _ = self.run_script("filled().save('x.ann')\nprint(filled().get_n_trees())")
            client = grove.Client(c.endpoint)
            self.assertEqual(len(client.indexes()), 1)  # that of the ticket; the other went with its object
            out, _ = self.run_script("index = grove.AnnoyIndex(2, 'euclidean')\nindex.load('x.ann')\nprint(index.get_nns_by_item(5, 3))")
            self.assertEqual(out, "[5, 4, 6]\n")
            self.assertEqual(len(client.indexes()), 1)
            grove.annoy_files.discard(os.path.join(self.folder.name, "x.ann"))
            self.assertEqual(client.indexes(), [])

    def test_no_program_and_no_endpoint_is_said_so(self):
        self.env.update(PATH="/nonexistent", GROVE_PROGRAM="")
        script = self.start("filled()")
        _, err = script.communicate(timeout=120)
        self.assertIn("GROVE_ENDPOINT", err)

    def test_a_program_that_is_no_grove_is_said_so(self):
        self.env["GROVE_PROGRAM"] = "/bin/false"
        ends, waits = self.in_place_of_grove("echo no port is free; exit 1"), self.in_place_of_grove("echo waiting; exec sleep 60")
        for program, start_seconds, said in (("/bin/false", 60, "ended before it was ready: it said nothing"), (ends, 60, "ended before it was ready: no port is free"),
                                             (waits, 3, "not ready within 3 s: waiting")):
            self.env["GROVE_PROGRAM"] = program
            script = self.start(f"grove.cluster.START_SECONDS = {start_seconds}\nfilled()")
            _, err = script.communicate(timeout=120)
            self.assertIn(said, err)
            self.nothing_is_left()

    def in_place_of_grove(self, text):
        """A program that takes the place of grove."""
        path = os.path.join(self.folder.name, f"program-{len(text)}")
        with open(path, "w") as f:
            f.write(f"#!/bin/sh\n{text}\n")
        os.chmod(path, 0o700)
        return path

    def test_one_that_dies_is_replaced_when_the_next_index_needs_it(self):
        out, err = self.run_script("""
import signal, subprocess, time
index = filled()
first = grove.cluster.embedded()
[up] = subprocess.run(['pgrep', '-P', str(first.keeper.pid), '-x', 'grove'], capture_output=True, text=True).stdout.split()
child = os.fork()
if child == 0:
    os._exit(0 if grove.cluster.embedded() is first else 1)  # a child has no say in it
assert os.waitpid(child, 0)[1] == 0
os.kill(int(up), signal.SIGKILL)
first.keeper.wait(20)
try:
    index.timeout = 1
    index.index.timeout = 1
    index.get_nns_by_item(5, 1)
except grove.GroveError:
    print('lost')
other = filled()
print(other.get_nns_by_item(5, 3), grove.cluster.embedded() is first, os.path.exists(first.folder))
index.timeout = index.index.timeout = 60
start = time.monotonic()
del index  # there is nothing to drop any more, and nobody is waited for
print(time.monotonic() - start < 30)
""")
        self.assertEqual((out, err), ("lost\n[5, 4, 6] False False\nTrue\n", ""))
        self.nothing_is_left()

    def test_a_local_cluster_may_be_held_by_hand(self):
        os.environ["GROVE_PROGRAM"] = cluster.program("grove")
        with grove.LocalCluster(workers=2) as local:
            self.assertEqual(len(grove.Client(local.endpoint).status()["workers"]), 2)
        self.assertFalse(os.path.exists(local.folder))


if __name__ == "__main__":
    cluster.run()
