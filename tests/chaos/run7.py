"""
Run 7: an administrator's hands in the same Kamailio: dispatcher.reload, set_state, edits of the list file.

Promised: no failed call; c4d puts right what was changed once, leaves foreign sets and their states alone, keeps what
the administrator added to the file, and does not fight for ever: it stops, says who must stop, and converges when the
other has stopped.
"""
import time

from lab import Fault, until

TITLE = "an administrator's own commands"
FOREIGN = ["7 sip:192.0.2.7:5060 0 0", "# a remark", "7 sip:192.0.2.8:5060 4 3 weight=50"]
FIGHT_S, FIGHT_SHORT_S = 25, 10


def run(t):
	s = t.stage(each=2)
	add_lines(s, FOREIGN)
	until(lambda: reload(s), 15, "a reload is taken")
	until(lambda: 7 in s.sbc.dispatcher(), 5, "Kamailio lists the foreign set")
	foreign = disabled_of(s, 7)
	converged(t, s, "after the administrator's reload")
	t.calls()

	for n in range(2 if t.short else 5):
		until(lambda: reload(s), 15, "a reload is taken")
		converged(t, s, f"after reload {n + 1} by hand")
		time.sleep(t.rnd.random() * 3)
	in_service, out = s.fleet.instances[0], s.fleet.instances[1]
	s.fleet.maintain(out, True)
	converged(t, s, "after the maintenance")
	overruled(t, s, "dx", in_service, "A")
	overruled(t, s, "a", out, "D")
	s.fleet.maintain(out, False)
	converged(t, s, "after the maintenance's end")

	# one of c4d's lines is taken out of the file and of Kamailio
	take_line(s, in_service.uri)
	until(lambda: reload(s), 15, "a reload is taken")
	until(lambda: in_service.uri in s.sbc.listed(), 20, "c4d puts the destination back")
	converged(t, s, "after a destination was taken away")

	fight(t, s, in_service)
	text = s.sbc.file_text()
	t.promise(all(line in text.split("\n") for line in FOREIGN), "the administrator's own lines are not in the file any more")
	t.promise(disabled_of(s, 7) == foreign, f"the foreign set was {foreign}, it is {s.sbc.flags(7)}")
	t.end_calls()
	s.watch.stop()


def disabled_of(s, set_id):
	"""{uri: whether it is disabled}; Kamailio's own pings may say what they like of the rest."""
	return {u: f[0] == "D" for u, f in s.sbc.flags(set_id).items()}


def reload(s):
	try:
		s.sbc.reload()
		return True
	except Fault:
		time.sleep(0.3)
		return False


def write(s, text):
	s.sbc.write_list(text.rstrip("\n").split("\n"))


def add_lines(s, lines):
	write(s, "\n".join(lines) + "\n" + s.sbc.file_text())


def take_line(s, uri):
	write(s, "\n".join(x for x in s.sbc.file_text().rstrip("\n").split("\n") if f" {uri} " not in x + " "))


def converged(t, s, when):
	_, _, wrong = s.converge(time.time())
	t.promise(wrong is None, f"{when}: not as Consul says: {wrong}")
	try:
		until(s.c4d.converged, 15, "all targets have converged")
	except AssertionError as e:
		t.broken(f"{when}: {e}: {s.c4d.targets()}")


def overruled(t, s, state, inst, letter):
	begin = time.time()
	s.sbc.set_state(state, 1, inst.uri)
	try:
		until(lambda: s.sbc.flags()[inst.uri][0] == letter, 10, f"set_state {state} {inst} is overruled")
		t.say(f"set_state {state} by hand was overruled after {time.time() - begin:.2f} s")
	except AssertionError as e:
		t.broken(str(e))
	converged(t, s, f"after set_state {state} by hand")


def fight(t, s, inst):
	"""
	Somebody disables the same destination twice a second: c4d gives up and says so; when he stops, it is put right, by
	itself or (in the short form) at once by c4ctl resync.
	"""
	before, seconds = sets(s), FIGHT_SHORT_S if t.short else FIGHT_S
	end = time.time() + seconds
	while time.time() < end:
		s.sbc.set_state("dx", 1, inst.uri)
		time.sleep(0.5)
	spent = sets(s) - before
	target = s.c4d.targets()["sbc/1"]
	t.promise(target["state"] == "failed" and "somebody else" in (target["last_error"] or ""),
		f"after {seconds} s of it the target is {target['state']}: {target['last_error']}")
	t.promise(spent <= 4, f"c4d sent {spent} set_states in a fight of {seconds} s")
	t.say(f"a fight of {seconds} s: c4d answered {spent} times, then: {target['last_error']}")
	begin = time.time()
	if t.short:
		got = s.c4d.ctl("resync", "sbc/1", timeout=20)
		t.promise(got.rc == 0, f"c4ctl resync sbc/1: status {got.rc}: {got.out}{got.err}")
	try:
		until(lambda: s.sbc.flags()[inst.uri][0] == "A", 2 if t.short else 75, "it is put right when the other has stopped")
		t.figure("put right after the fight's end", f"{time.time() - begin:.1f} s ("
			+ ("by c4ctl resync)" if t.short else "promised: 60 s and a pass)"))
	except AssertionError as e:
		t.broken(str(e))
	converged(t, s, "after the fight")


def sets(s):
	return s.c4d.ctl("status", fmt="json").data["kamailio"][0]["set_states"]
