"""pytest's side of the lab: one Lab per test, logs of everything when a test fails."""
import os
import re
import shutil
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import lab as lab_  # noqa: E402  pylint: disable=wrong-import-position

FAILED = os.path.join(lab_.base.ROOT, "build", "lab-failed")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
	outcome = yield
	report = outcome.get_result()
	setattr(item, "rep_" + report.when, report)
	lab = item.funcargs.get("lab") if hasattr(item, "funcargs") else None
	if report.failed and lab is not None:
		report.sections.append(("the lab's logs", lab.logs()))


def pytest_generate_tests(metafunc):
	"""
	Tests marked `both_kamailios` run with Kamailio 5.6 and with 6.0; all others with the machine's own. C4D_KAMAILIO=5.6
	or 6.0 runs all of them with that one.
	"""
	if "lab" not in metafunc.fixturenames:
		return
	if os.environ.get("C4D_KAMAILIO"):
		versions = [lab_.kamailio.default_version()]
	elif metafunc.definition.get_closest_marker("both_kamailios"):
		versions = lab_.kamailio.VERSIONS
	else:
		return
	metafunc.parametrize("kamailio", versions, indirect=True)


def pytest_configure(config):
	config.addinivalue_line("markers", "both_kamailios: runs with each version of Kamailio that is supported")


@pytest.fixture
def kamailio(request):
	"""The version of every Kamailio of this test's lab."""
	return getattr(request, "param", None) or lab_.kamailio.default_version()


@pytest.fixture
def lab(request, kamailio):
	"""A lab of the test's own; a failed test's directory is kept under build/lab-failed."""
	with lab_.Lab(request.node.name) as made:
		made.kamailio = kamailio
		yield made
		report = getattr(request.node, "rep_call", None)
		failed = report is None or report.failed
		made.stop()
	if failed:
		kept = os.path.join(FAILED, re.sub(r"[^\w.-]+", "_", request.node.name))
		shutil.rmtree(kept, ignore_errors=True)
		os.makedirs(FAILED, exist_ok=True)
		# Sockets can't be copied; the rest is small.
		shutil.copytree(made.dir, kept, symlinks=True, ignore=_sockets, ignore_dangling_symlinks=True)
	made.remove()


def _sockets(directory, names):
	return [n for n in names if not (os.path.isdir(p := os.path.join(directory, n)) or os.path.isfile(p))]


@pytest.fixture
def make_c4d(lab):
	"""make_c4d(config, ...) -> C4d; at the end each must stop cleanly and without sanitizer reports."""
	made = []

	def make(config, **kw):
		kw.setdefault("name", f"c4d{len(made) or ''}")
		made.append(lab_.C4d(lab, config, **kw))
		return made[-1]

	yield make
	errors = []
	for c in made:
		try:
			c.check_clean()
		except lab_.LabError as e:
			errors.append(str(e))
	assert not errors, "\n".join(errors)


@pytest.fixture
def plain(lab):
	"""A configuration with nothing to discover, and no Consul at all."""
	return {"consul": {"dns": [f"{lab.ip()}:8600"], "http": f"http://{lab.ip()}:8500"}}


@pytest.fixture
def consul(lab):
	return lab_.Consul(lab).start()


@pytest.fixture
def sbc(lab):
	return lab_.Sbc(lab).start()


@pytest.fixture(scope="session")
def agent():
	"""One Consul for all tests that leave it alone: each takes a service name of its own (see `service`)."""
	with lab_.Lab("agent", temporary=True) as lab:
		yield lab_.Consul(lab).start()


@pytest.fixture
def service(agent):
	"""A service name of the test's own at the shared Consul."""
	made = lab_.Service(agent)
	yield made
	made.clear()
