"""
The proof: real calls through a platform that changes and fails. See README beside this file.

RUN=1,3: these runs only. SHORT=1: the short form. SEED=n: the decisions of an earlier run again.
CONSUL_TEMPLATE=/path: runs that can do so are also made in the consul-template way, for comparison.
"""
import argparse
import importlib
import json
import os
import random
import signal
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
from lab import HttpError, LabError, c4d_binary  # noqa: E402
from trial import OUT, Trial  # noqa: E402

RUNS = range(1, 9)
HEAD = ["calls", "failed", "excused", "retrans", "p50 ms", "p99 ms", "max ms"]


def find(number):
	try:
		return importlib.import_module(f"run{number}")
	except ModuleNotFoundError as e:
		if e.name != f"run{number}":
			raise
		return None


def play(module, number, seed, short, way):
	"""One run; its Trial, with whatever went wrong as a broken promise."""
	compared = way != "c4d"
	title = module.TITLE + (" (consul-template)" if compared else "")
	print(f"\n==> run {number}: {title}; SEED={seed}", flush=True)
	trial = Trial(number, title, seed, short, way)
	try:
		module.run(trial)
	except (LabError, OSError, HttpError) as e:
		trial.trace(time.time(), traceback.format_exc())
		trial.broken(f"the run could not go on: {e}")
	except Exception as e:  # pylint: disable=broad-except
		trial.trace(time.time(), traceback.format_exc())
		trial.broken(f"the run itself is wrong: {type(e).__name__}: {e}")
		traceback.print_exc()
	finally:
		trial.took = time.time() - trial.began
		trial.close()
	report(trial)
	return trial


def report(trial):
	print(f"  {'':4}" + "".join(f"{h:>9}" for h in HEAD))
	print(f"  {'':4}" + "".join(f"{c:>9}" for c in trial.row()))
	for name, value in trial.figures:
		print(f"  {name}: {value}")
	print(f"  machine: {trial.load.text()}; waited for a CPU: {trial.waits() or '-'}")
	for text in trial.notes:
		print(f"  {text}")
	broken = trial.promises_broken
	print(f"  run {trial.number}: {'PASS' if not broken else f'FAIL, {len(broken)} promises broken'} in {trial.took:.0f} s, "
		f"SEED={trial.seed}; record: {os.path.relpath(trial.dir)}", flush=True)


def summary(trials, took):
	print(f"\n==> the proof, in {took:.0f} s\n")
	print(f"  {'run':5}{'':34}" + "".join(f"{h:>9}" for h in HEAD) + "  verdict")
	for t in trials:
		verdict = ("compared" if t.way != "c4d" else "FAIL") if t.promises_broken else "PASS"
		print(f"  {t.number:<5}{t.title[:33]:34}" + "".join(f"{c:>9}" for c in t.row()) + f"  {verdict}")
	for t in trials:
		for b in t.promises_broken[:5]:
			print(f"  run {t.number}{'' if t.way == 'c4d' else ' (consul-template)'}, {t.at(b.at)}: {b.text[:300]}")
		if len(t.promises_broken) > 5:
			print(f"  run {t.number}: and {len(t.promises_broken) - 5} more, see {os.path.relpath(t.dir)}/trace.log")


def main():
	args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
	args.parse_args()
	wanted = os.environ.get("RUN", "").replace(",", " ").split()
	numbers = [int(x) for x in wanted] or list(RUNS)
	short = os.environ.get("SHORT", "") not in ("", "0")
	seed = os.environ.get("SEED") or str(random.SystemRandom().randrange(1, 1000000))
	template = os.environ.get("CONSUL_TEMPLATE")
	for sig in (signal.SIGTERM, signal.SIGHUP):
		signal.signal(sig, lambda *_: sys.exit(130))
	print(f"chaos: {c4d_binary()}, runs {' '.join(map(str, numbers))}, SEED={seed}{', short form' if short else ''}")
	begin, trials, missing = time.time(), [], []
	for n in numbers:
		module = find(n)
		if module is None:
			missing.append(n)
			continue
		trials.append(play(module, n, seed, short, "c4d"))
		if template and getattr(module, "TEMPLATE", False):
			trials.append(play(module, n, seed, short, template))
	summary(trials, time.time() - begin)
	failed = [t.number for t in trials if t.promises_broken and t.way == "c4d"]
	for n in missing:
		print(f"  run {n}: there is none")
	os.makedirs(OUT, exist_ok=True)
	with open(os.path.join(OUT, "chaos.json"), "w") as f:
		json.dump([{"run": t.number, "way": t.way, "title": t.title, "seed": t.seed, "short": t.short, "seconds": t.took,
			**dict(zip(HEAD, t.row())), "figures": [[n, str(v)] for n, v in t.figures],
			"broken": [[round(b.at - t.began, 3), b.text] for b in t.promises_broken], "machine": t.load.text()}
			for t in trials], f, indent=1)
	print(f"  {'all promises kept' if not failed and not missing else 'FAILED: ' + ' '.join(map(str, failed + missing))}; "
		f"SEED={seed} repeats it")
	return 1 if failed or missing else 0


if __name__ == "__main__":
	sys.exit(main())
