#!/usr/bin/python3
"""man_pages_test.py GROVE COORDINATOR WORKER grove.h PAGE...: the manual pages are well formed, and say what the programs and the header say."""
import os
import re
import subprocess
import sys
import unittest

GROVE, COORDINATOR, WORKER, HEADER, *PAGES = sys.argv[1:]
PAGE = {os.path.basename(path): path for path in PAGES}


def text(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def shown(page):
    """The page as a reader sees it, without bold and underlined."""
    out = subprocess.run(["mandoc", "-Tascii", "-Owidth=200", PAGE[page]], capture_output=True, text=True, check=True).stdout
    return re.sub(".\b", "", out)


def sections(page):
    """{heading: the lines below it} of the page as shown; subsections stand at three blanks."""
    found = {}
    lines = []
    for line in shown(page).splitlines():
        heading = re.match(r"^(?:   )?(\S.*)$", line)
        if heading:
            lines = found.setdefault(heading.group(1), [])
        else:
            lines.append(line)
    return found


def said(program, *arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=True).stdout


def options_of_table(help_text):
    """The left column of grove's help: '-k, --k K' and the like."""
    return {" ".join(m.group(1).split()) for m in re.finditer(r"^  +((?:-\w, )?--\S+(?: \S+)?)", help_text, re.M)}


def options_of_page(lines):
    """The same from a page: lines that begin with an option; the table says `-k, --k K` and so does the page."""
    return {" ".join(m.group(1).split()) for m in (re.match(r"^ +((?:-\w, )?--\S+(?: \S+)?)(?:  .*)?$", line) for line in lines) if m}


class Pages(unittest.TestCase):
    def test_every_page_is_well_formed(self):
        self.assertEqual(sorted(PAGE), ["grove-coordinator.8", "grove-worker.8", "grove.1", "libgrove.3"])
        for path in PAGES:
            done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", path], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (0, ""), path)

    def test_grove_has_every_command_and_option_and_no_other(self):
        page = sections("grove.1")
        commands = re.findall(r"^  (\w+) +\S", said(GROVE, "--help").split("Commands:")[1].split("`grove COMMAND")[0], re.M)
        self.assertGreater(len(commands), 10)
        headings = [h for h in page if re.fullmatch(r"[a-z]+", h)]
        self.assertEqual(headings, commands)
        for command in commands:
            before, common = said(GROVE, command, "--help").split("Common options:")
            own = options_of_table(before.split("Options:")[1]) if "Options:" in before else set()
            self.assertEqual(options_of_page(page[command]), own, command)
            self.assertEqual(options_of_page(page["COMMON OPTIONS"]), options_of_table(common), command)
            for line in re.findall(r"^  (grove .*)$", before, re.M):
                self.assertIn(line, shown("grove.1"), command)

    def test_coordinator_and_worker_have_every_option_and_no_other(self):
        for page, program in ("grove-coordinator.8", COORDINATOR), ("grove-worker.8", WORKER):
            told = {tuple(re.findall(r"-[-\w?]+", left)) for left in re.findall(r"^ +(-.*?)(?:  .*)?$", re.sub(r"=\S+", "", said(program, "--help")), re.M)}
            options = {tuple("-" + flag for flag in re.findall(r"Fl (\S+)", line)) for line in re.findall(r"^\.It (.*Fl .*)$", text(PAGE[page]), re.M)}
            self.assertEqual(options, {tuple(o) for o in told}, page)
            synopsis = text(PAGE[page]).split(".Sh SYNOPSIS")[1].split(".Sh ")[0]
            long = {"-" + flag for flag in re.findall(r"Fl (-\S+)", synopsis)} | {"--help", "--usage", "--version"}
            self.assertEqual(long, {o for names in options for o in names if o.startswith("--")}, page)
            for variable in re.findall(r"GROVE_[A-Z_]+", said(program, "--help")):
                self.assertIn(variable, text(PAGE[page]), page)

    def test_the_library_has_every_function_as_the_header_declares_it_and_every_code(self):
        header, page = text(HEADER), text(PAGE["libgrove.3"])
        declared = {f"{' '.join(kind.split())} {name}({arguments})" for kind, name, arguments in re.findall(r"^GROVE_API (.*?)(grove_\w+)\((.*?)\);", header, re.M)}
        synopsis = page.split(".Sh SYNOPSIS")[1].split(".Sh ")[0]
        described = {f'{kind} {name}({", ".join(re.findall(chr(34) + "(.*?)" + chr(34), rest)) or "void"})'
                     for kind, name, rest in re.findall(r'^\.Ft "(.*)"\n\.Fn (\w+)(.*)$', synopsis, re.M)}
        self.assertEqual(described, declared)
        codes = re.findall(r"GROVE_\w+(?= = -?\d)", header.split("enum grove_code {")[1].split("};")[0])
        self.assertEqual(re.findall(r"^\.It Dv (GROVE_\w+)$", page, re.M), codes)

    def test_exit_codes_are_those_of_the_help(self):
        told = set(re.findall(r"\b(\d+) [a-z]", said(GROVE, "--help").split("Exit codes:")[1]))
        self.assertEqual(set(re.findall(r"^\.It (\d+)$", text(PAGE["grove.1"]), re.M)), told)


unittest.main(argv=sys.argv[:1], verbosity=1)
