#!/usr/bin/python3
"""What `meson install` leaves is enough for others: programs in C and C++ find the library through pkg-config, the program its helper, man its pages."""
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile

import cluster

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Installed(cluster.OneCluster):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = tempfile.mkdtemp(prefix="grove-test-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        subprocess.run(["meson", "install", "-C", cluster.BUILD, "--no-rebuild", "--destdir", cls.folder], check=True, capture_output=True)
        options = json.loads(subprocess.run(["meson", "introspect", cluster.BUILD, "--buildoptions"], check=True, capture_output=True, text=True).stdout)
        [prefix] = [o["value"] for o in options if o["name"] == "prefix"]
        cls.prefix = os.path.join(cls.folder, "moved")
        os.rename(cls.folder + prefix, cls.prefix)
        [library] = [f for f, _, names in os.walk(cls.prefix) if "grove.pc" in names]
        cls.libraries = os.path.dirname(library)
        cls.environment = {**os.environ, "PKG_CONFIG_PATH": library, "LD_LIBRARY_PATH": cls.libraries, "GROVE_ENDPOINT": cls.c.endpoint}

    def flags(self, *wanted):
        out = subprocess.run(["pkg-config", f"--define-variable=prefix={self.prefix}", *wanted, "grove"], env=self.environment, check=True, capture_output=True, text=True)
        return shlex.split(out.stdout)

    def compiled(self, source, compiler, *more):
        program = os.path.join(self.folder, f"{source}-{compiler[0]}-{len(more)}")
        done = subprocess.run([*compiler, "-Wall", "-Wextra", "-Wpedantic", "-Werror", os.path.join(ROOT, "client/examples", source), "-o", program,
                               "-x", "none", *(more or self.flags("--cflags", "--libs"))], env=self.environment, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return program

    def said(self, program, *arguments, code=0):
        done = subprocess.run([program, *arguments], env=self.environment, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout

    def test_search_in_c_and_in_cpp(self):
        for compiler in ["cc", "-std=c99"], ["g++", "-std=c++11", "-x", "c++"]:
            program = self.compiled("search.c", compiler)
            hits = [line.split() for line in self.said(program).splitlines()]
            self.assertEqual(hits[0], ["500", "0"])
            self.assertEqual(len(hits), 5)
            self.assertEqual({h[0] for h in hits[1:3]}, {"501", "502"})

    def test_batches(self):
        line = self.said(self.compiled("batches.c", ["cc", "-std=c11", "-D_POSIX_C_SOURCE=200809L"]))
        self.assertIn("20000 items sent, 200 queries asked", line)
        self.assertGreaterEqual(int(re.search(r"(\d+) found themselves", line).group(1)), 195)

    def test_scan_in_c_and_in_cpp(self):
        for compiler in ["cc", "-std=c99"], ["g++", "-std=c++11", "-x", "c++"]:
            told = re.fullmatch(r"5000 items in (\d+) pages, their mean is 2499.5 1\n", self.said(self.compiled("scan.c", compiler)))
            self.assertIsNotNone(told)
            self.assertIn(int(told.group(1)), range(6, 12))  # of at most 1000 items; three shards, each of about 1,667

    def test_errors(self):
        told = re.findall(r"^(\S.*): (\w+)$", self.said(self.compiled("errors.c", ["cc", "-std=c99"])), re.M)
        self.assertEqual([code for _, code in told], ["unavailable", "ok", "ok", "exists", "ok", "bad_request", "ok", "ok", "ok", "not_found"])

    def test_the_static_library_is_whole(self):
        # pkg-config --static would ask for archives of what libzmq uses, which Debian does not have; what libgrove uses itself may stay shared.
        names = [word for word in self.flags("--print-requires-private") if re.match("[a-z]", word)]
        others = subprocess.run(["pkg-config", "--libs", *names], check=True, capture_output=True, text=True).stdout.split()
        flags = [*self.flags("--cflags"), os.path.join(self.libraries, "libgrove.a"), *others, "-lm", "-pthread"]
        program = self.compiled("search.c", ["cc", "-std=c99"], *flags)
        self.assertNotIn("libgrove", subprocess.run(["ldd", program], capture_output=True, text=True).stdout)
        self.assertTrue(self.said(program).startswith("500 0\n"))

    def test_no_symbol_but_those_of_the_header_is_exported(self):
        out = subprocess.run(["nm", "-D", "--defined-only", os.path.join(self.libraries, "libgrove.so")], check=True, capture_output=True, text=True).stdout
        with open(os.path.join(self.prefix, "include/grove.h"), encoding="utf-8") as f:
            declared = set(re.findall(r"^GROVE_API .*?(grove_\w+)\(", f.read(), re.M))
        self.assertEqual({line.split()[2].split("@")[0] for line in out.splitlines() if line.split()[1] in "TDBRW"}, declared)

    def test_the_program_finds_its_helper_and_man_the_pages(self):
        self.c.grove("create", "layout", "--dim", 2, "--metric", "euclidean", check=0)
        told = self.said(os.path.join(self.prefix, "bin/grove"), "import", "layout", os.path.join(ROOT, "tests/fuzz/corpus/dataset_hdf5/layout"), "--json")
        self.assertEqual(json.loads(told)["ok"], 6)
        self.assertEqual(sorted(os.listdir(os.path.join(self.prefix, "share/doc/grove/examples"))), sorted(os.listdir(os.path.join(ROOT, "client/examples"))))
        for page in "man1/grove.1", "man3/libgrove.3", "man8/grove-coordinator.8", "man8/grove-worker.8":
            self.assertGreater(os.path.getsize(os.path.join(self.prefix, "share/man", page)), 1000)


cluster.run()
