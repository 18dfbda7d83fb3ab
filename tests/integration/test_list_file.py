"""The list file between two looks of c4d, which only reads it again when stat() shows a difference."""
import os
import time

import pytest

from lab import Sbc, until
from lab.rig import Rig


@pytest.fixture
def rig(lab, consul, make_c4d):
	box = Sbc(lab, probing=False, reload_delta=1).start()
	return Rig(lab, consul, box, make_c4d, over={"kamailio": {"sbc": {"probing": False}}})


def test_an_edit_that_hides_is_found(rig):
	"""In place, of the same length, with the old times put back: the change time still tells."""
	a, b = rig.add(), rig.add()
	rig.start(a, b)
	rig.quiet()
	right = rig.sbc.file_text()
	time.sleep(11)  # two looks: the second finds it unchanged without reading it
	writes = rig.count("file_writes")
	st = os.stat(rig.sbc.list_file)
	with open(rig.sbc.list_file, "r+") as f:
		f.write(right.replace("weight=1", "weight=7"))
	os.utime(rig.sbc.list_file, ns=(st.st_atime_ns, st.st_mtime_ns))
	now = os.stat(rig.sbc.list_file)
	assert (now.st_ino, now.st_size, now.st_mtime_ns) == (st.st_ino, st.st_size, st.st_mtime_ns)
	until(lambda: rig.sbc.file_text() == right, 8, "it is right again")
	assert rig.count("file_writes") == writes + 1


def test_kamailio_never_reads_an_edit_of_the_last_moment(rig):
	"""Whoever has been at the file since the last look: before a reload it is looked at again."""
	a = rig.add()
	rig.start(a)
	rig.quiet()
	time.sleep(6)
	rig.sbc.write_list([f"1 {a} 16 0 weight=1", "1 sip:198.51.100.1:5060 16 0"])
	b = rig.add()
	seen = set()

	def both():
		listed = rig.sbc.listed()
		seen.update(listed)
		return listed == {a, b}
	until(both, 8, "both are listed", every=0.005)
	assert seen == {a, b}
	rig.converged()
