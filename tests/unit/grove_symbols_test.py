#!/usr/bin/python3
"""The shared library exports exactly what grove.h declares: usage grove_symbols_test.py LIBRARY HEADER"""
import re
import subprocess
import sys

library, header = sys.argv[1:3]
listing = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout
exported = {line.split()[-1].split("@")[0] for line in listing.splitlines() if line.split()[-2] in "TDBRW"}
with open(header, encoding="utf-8") as file:
    declared = set(re.findall(r"^GROVE_API .*?\b(grove_\w+)\(", file.read(), re.MULTILINE))
if len(declared) < 30:
    sys.exit(f"only {len(declared)} declarations found in {header}: is the pattern still right?")
for name in sorted(exported - declared):
    print(f"exported, not declared: {name}")
for name in sorted(declared - exported):
    print(f"declared, not exported: {name}")
sys.exit(exported != declared)
