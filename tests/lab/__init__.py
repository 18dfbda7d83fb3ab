"""
The lab: real Consul, Kamailio, sipp and c4d on loopback, for tests, demo and benchmark.

	with Lab() as lab:
		consul = Consul(lab).start()
		carrier = Uas(lab)
		router = Router(lab, "router1", carrier.addr).start()
		consul.register("router", router.ip, router.port)
		sbc = Sbc(lab).start()
		c4d = C4d(lab, base_config(consul, sbc)).start()
		until(lambda: sbc.listed() == {router.uri}, 10, "the router is listed")
		Uac(lab, f"{sbc.ip}:{sbc.port}", count=10).ok()

Standard library only. Each Lab has a network 127.A.B.0/24 of its own, so that tests run in parallel.
"""
from .base import Lab, LabError, holds, until
from .binrpc import Client as Binrpc, Fault
from .c4d import C4d, base_config, c4d_binary, merge, yaml
from .consul import Consul, HttpError, consul_binary, pair
from .fake_dns import FakeDns
from .kamailio import Dest, Kamailio, Router, Sbc, options
from .service import EAGER, FAST, Service, watching
from .sipp import Uac, Uas

__all__ = ["Lab", "LabError", "holds", "until", "Binrpc", "Fault", "C4d", "base_config", "c4d_binary", "merge",
	"yaml", "Consul", "HttpError", "consul_binary", "pair", "Dest", "Kamailio", "Router", "Sbc", "options",
	"Uac", "Uas", "FakeDns", "EAGER", "FAST", "Service", "watching"]
