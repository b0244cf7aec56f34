#!/usr/bin/python3
"""The commands of the README, as they stand there, and the Python example of proto/CLIENT.md."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

import numpy

import cluster

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def blocks(path, language):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return re.findall(rf"<!-- test: commands -->\n```{language}\n(.*?)```", f.read(), re.S)


class Documents(unittest.TestCase):
    def test_every_command_of_the_readme_works(self):
        [block] = blocks("README.md", "sh")
        with cluster.Cluster(workers=2) as c:
            random = numpy.random.default_rng(1)
            numpy.save(f"{c.folder}/vectors.npy", random.standard_normal((500, 4)).astype(numpy.float32))
            numpy.save(f"{c.folder}/queries.npy", random.standard_normal((50, 4)).astype(numpy.float32))
            path = os.path.dirname(cluster.program("grove")) + ":" + os.environ["PATH"]
            done = subprocess.run(["bash", "-e", "-c", block], cwd=c.folder, env=dict(os.environ, GROVE_ENDPOINT=c.endpoint, PATH=path),
                                  capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("red sneaker", done.stdout)

    def test_the_python_client_of_the_protocol_document_works(self):
        [block] = blocks("proto/CLIENT.md", "python")
        with cluster.Cluster(workers=2) as c:
            done = subprocess.run(["/usr/bin/python3", "-c", block], env=dict(os.environ, GROVE_ENDPOINT=c.endpoint),
                                  capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Up(unittest.TestCase):
    def ready(self, log):
        with open(log, encoding="utf-8") as f:
            return re.search(r"^ready", f.read(), re.M)

    def test_grove_up_is_ready_prints_so_and_its_children_die_with_it(self):
        folder = tempfile.mkdtemp(prefix="grove-test-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        port, _ = cluster.free_ports(2)  # the next is the workers'
        log = f"{folder}/up.log"
        for number in (signal.SIGTERM, signal.SIGKILL):
            with open(log, "wb") as out:
                up = subprocess.Popen([cluster.program("grove"), "up", "--workers", "2", "--data", f"{folder}/data", "--port", str(port)], stdout=out, stderr=subprocess.STDOUT)
            cluster.wait_for("ready", 20, lambda: self.ready(log))
            children = subprocess.run(["pgrep", "-P", str(up.pid)], capture_output=True, text=True).stdout.split()
            self.assertEqual(len(children), 3)
            up.send_signal(number)
            up.wait(20)
            if number == signal.SIGTERM:
                self.assertEqual(up.returncode, 0)
            cluster.wait_for("the children are gone", 15, lambda: not any(os.path.exists(f"/proc/{p}") for p in children))


cluster.run()
