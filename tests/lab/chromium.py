"""
Chromium without a screen, driven by its own debugging protocol over two pipes: no driver, no port. It can reach nothing but
loopback addresses.
"""
import base64
import json
import os
import select
import time

from .base import LabError, until, which

SCHEMES = ("light", "dark")


class Chromium:
	"""tab(URL) opens a page. $CHROMIUM names another one to run."""

	def __init__(self, lab, name="chromium"):
		self.lab, self.dir = lab, lab.mkdir(name)
		program = os.environ.get("CHROMIUM") or which("chromium", "install the Debian package chromium (tests/tools/deps.sh does it), "
			"or set CHROMIUM=/path/to/chromium")
		ends = {n: os.path.join(self.dir, n) for n in ("in", "out")}
		for path in ends.values():
			os.mkfifo(path)
		self.ends = {n: os.open(path, os.O_RDWR | os.O_NONBLOCK) for n, path in ends.items()}
		self.input, self.seen, self.answers, self.last = b"", [], {}, 0
		self.proc = lab.spawn(name, ["/bin/sh", "-c", 'exec "$@" 3<"$0/in" 4>"$0/out"', self.dir, program,
			"--headless=new", "--no-sandbox", "--remote-debugging-pipe", f"--user-data-dir={self.dir}/profile", "--no-first-run",
			"--no-default-browser-check", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions", "--disable-sync",
			"--disable-breakpad", "--disable-background-networking", "--disable-component-update", "--disable-default-apps",
			"--disable-features=Translate,OptimizationHints,MediaRouter,DialMediaRouteProvider", "--mute-audio", "--hide-scrollbars",
			"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.*", "--force-color-profile=srgb", "about:blank"],
			env={**os.environ, "HOME": self.dir, "XDG_CONFIG_HOME": self.dir, "XDG_CACHE_HOME": self.dir, "DBUS_SESSION_BUS_ADDRESS": "disabled:"})
		self.proc.polite = False
		lab.cleanups.append(self._close)
		self.call("Browser.getVersion", timeout=60)

	def _close(self):
		for fd in self.ends.values():
			os.close(fd)
		self.ends = {}

	def _pump(self, wait):
		"""Takes what it has said, for at most so long."""
		if not select.select([self.ends["out"]], [], [], max(0, wait))[0]:
			if not self.proc.alive():
				raise LabError(f"chromium ended with status {self.proc.popen.returncode}\n{self.proc.log_tail()}")
			return
		self.input += os.read(self.ends["out"], 1 << 20)
		*whole, self.input = self.input.split(b"\0")
		for text in whole:
			said = json.loads(text)
			if "id" in said:
				self.answers[said["id"]] = said
			else:
				self.seen.append(said)

	def call(self, method, params=None, session=None, timeout=30.0):
		self.last += 1
		asked = {"id": self.last, "method": method, "params": params or {}, **({"sessionId": session} if session else {})}
		data, end = json.dumps(asked).encode() + b"\0", time.monotonic() + timeout
		while data:
			select.select([], [self.ends["in"]], [], 1)
			data = data[os.write(self.ends["in"], data):]
		while self.last not in self.answers:
			if time.monotonic() > end:
				raise LabError(f"chromium did not answer {method} within {timeout:g} s\n{self.proc.log_tail()}")
			self._pump(0.2)
		got = self.answers.pop(self.last)
		if "error" in got:
			raise LabError(f"chromium: {method}: {got['error']}")
		return got["result"]

	def events(self, session):
		"""All of a tab so far: [(method, params)]."""
		self._pump(0)
		return [(e["method"], e["params"]) for e in self.seen if e.get("sessionId") == session]

	def tab(self, url, **kw):
		return Tab(self, url, **kw)


class Tab:
	"""One page. script=False: JavaScript is off."""

	def __init__(self, browser, url, *, width=1280, height=900, scheme="light", script=True, motion=False):
		self.browser, self.url = browser, url
		target = browser.call("Target.createTarget", {"url": "about:blank"})["targetId"]
		self.session = browser.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
		for domain in ("Page", "Runtime", "Log", "Network"):
			self.call(f"{domain}.enable")
		self.motion = motion
		self.size(width, height)
		self.scheme(scheme)
		if not script:
			self.call("Emulation.setScriptExecutionDisabled", {"value": True})
		self.open(url)

	def call(self, method, params=None, timeout=30.0):
		return self.browser.call(method, params, self.session, timeout)

	def open(self, url):
		loaded = len(self.events("Page.loadEventFired"))
		got = self.call("Page.navigate", {"url": url})
		if got.get("errorText"):
			raise LabError(f"{url}: {got['errorText']}")
		until(lambda: len(self.events("Page.loadEventFired")) > loaded, 30, f"{url} is loaded")

	def size(self, width, height):
		self.call("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})

	def scheme(self, scheme, media=""):
		"""light or dark; media "print": as on paper."""
		self.call("Emulation.setEmulatedMedia", {"media": media, "features": [{"name": "prefers-color-scheme", "value": scheme},
			{"name": "prefers-reduced-motion", "value": "no-preference" if self.motion else "reduce"}]})

	def run(self, expression):
		"""The value of a JavaScript expression (also where the page's own scripts are off)."""
		got = self.call("Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True})
		if "exceptionDetails" in got:
			raise LabError(f"{expression[:200]}: {got['exceptionDetails']}")
		return got["result"].get("value")

	def text(self, selector="body"):
		return self.run(f"document.querySelector({json.dumps(selector)})?.innerText")

	def key(self, key):
		code = {"Tab": 9, "Enter": 13, " ": 32}[key]
		for kind in ("keyDown", "keyUp"):
			extra = {"text": "\r" if key == "Enter" else key} if kind == "keyDown" and key != "Tab" else {}
			self.call("Input.dispatchKeyEvent", {"type": kind, "key": key, "code": {" ": "Space"}.get(key, key),
				"windowsVirtualKeyCode": code, **extra})

	def screenshot(self, path, whole=False):
		"""PNG; whole: all of the page, not only what is in the window."""
		data = self.call("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": whole})["data"]
		with open(path, "wb") as f:
			f.write(base64.b64decode(data))
		return path

	def events(self, method):
		return [p for m, p in self.browser.events(self.session) if m == method]

	def complaints(self):
		"""What its console holds of errors and warnings, and violations of its policy."""
		out = [f"{p['type']}: {[a.get('value', a.get('description')) for a in p['args']]}" for p in self.events("Runtime.consoleAPICalled")
			if p["type"] in ("error", "warning", "assert")]
		out += [p["exceptionDetails"]["text"] + str(p["exceptionDetails"].get("exception", {}).get("description"))
			for p in self.events("Runtime.exceptionThrown")]
		return out + [f"{p['entry']['source']} {p['entry']['level']}: {p['entry']['text']} {p['entry'].get('url')}"
			for p in self.events("Log.entryAdded") if p["entry"]["level"] in ("error", "warning")]

	def requests(self):
		"""The URLs that it asked for."""
		return [p["request"]["url"] for p in self.events("Network.requestWillBeSent")]
