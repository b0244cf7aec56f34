#!/usr/bin/python3
"""The Python package can be installed without a network, is typed, and imports nothing before it is needed."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import cluster

PACKAGE = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "client", "python"))


class Package(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="grove-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def run_quietly(self, *command, **how):
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, **how)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_it_installs_with_pip_and_is_imported_from_there(self):
        shutil.copytree(PACKAGE, f"{self.folder}/source", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
        self.run_quietly("/usr/bin/python3", "-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps", "--no-index",
                         "--target", f"{self.folder}/installed", f"{self.folder}/source")
        where = self.run_quietly("/usr/bin/python3", "-c", "import grove; print(grove.__file__, grove.__version__)", cwd=self.folder,
                                 env=dict(os.environ, PYTHONPATH=f"{self.folder}/installed"))
        self.assertEqual(where, f"{self.folder}/installed/grove/__init__.py 0.1.0\n")
        self.assertTrue(os.path.exists(f"{self.folder}/installed/grove/py.typed"))
        self.assertEqual(sorted(f for f in os.listdir(f"{self.folder}/installed/grove") if f.endswith(".py")),
                         sorted(f for f in os.listdir(f"{PACKAGE}/grove") if f.endswith(".py")))

    def test_its_types_are_right(self):
        self.run_quietly("/usr/bin/mypy", "--python-executable", "/usr/bin/python3", "--ignore-missing-imports", "--warn-unused-ignores",
                         "--disallow-untyped-defs", "--cache-dir", f"{self.folder}/mypy", "grove", cwd=PACKAGE)

    def test_scikit_learn_is_imported_only_by_whom_asks_for_it(self):
        self.run_quietly("/usr/bin/python3", "-c", "import grove, sys; assert not {'sklearn', 'scipy', 'pandas'} & set(sys.modules)",
                         env=dict(os.environ, PYTHONPATH=PACKAGE))

    def test_the_programs_of_its_readme_run(self):
        with open(f"{PACKAGE}/README.md", encoding="utf-8") as f:
            programs = re.findall(r"<!-- test: commands -->\n```python\n(.*?)```", f.read(), re.S)
        self.assertEqual(len(programs), 2)
        with cluster.Cluster(workers=2) as c:
            for program in programs:
                self.run_quietly("/usr/bin/python3", "-c", program, cwd=self.folder,
                                 env=dict(os.environ, PYTHONPATH=PACKAGE, GROVE_ENDPOINT=c.endpoint))


if __name__ == "__main__":
    cluster.run()
