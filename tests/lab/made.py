"""What the Makefile makes of the binary under test: manuals and completions."""
import os
import shutil
import subprocess

from .base import ROOT, LabError
from .c4d import c4d_binary


def made(directory, what):
	"""`make WHAT` into this directory, with the binary under test as it is. Returns the directory with the result."""
	binary = os.path.join(directory, "c4d")
	if not os.path.exists(binary):
		shutil.copy(c4d_binary(), binary)
	p = subprocess.run(["make", "--no-print-directory", "-C", ROOT, f"B={directory}", "-o", binary, what], check=False,
		capture_output=True, text=True)
	if p.returncode != 0 or p.stderr:
		raise LabError(f"make {what}: {p.stdout[-2000:]}{p.stderr[-2000:]}")
	return os.path.join(directory, what)
