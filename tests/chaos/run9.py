"""
Run 9, by RUN=9 only: an rtpengine becomes a black hole (SIGSTOP) with calls up.

Wanted, and not kept yet: no failed call. What Kamailio does for a call whose node is disabled for good, such as its BYE,
waits for that node (rtpengine_tout_ms x rtpengine_retr, in a worker); with many such calls at once nobody is left to work.
"""
from run6 import AGAIN_S, begin, die, end

TITLE = "an rtpengine becomes a black hole"


def run(t):
	s, p, _ = begin(t)
	die(t, s, p, "stopped", 10 if t.short else AGAIN_S + 15, lambda n: n.pause(), lambda n: n.resume())
	end(t, p)
