"""A headless Chromium over its debugging pipe: no driver, no package. Pages are opened from disk, with the network off."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
A4 = (673, 952)  # pixels inside the margins of 16 and 18 mm, at 96 dots an inch


def found() -> str | None:
    """The browser's path; None where none is installed."""
    return os.environ.get("CHROMIUM") or next((path for n in NAMES if (path := shutil.which(n))), None)


class Browser:
    """One tab. `problems` has every error of the console, exception of a script, and request beyond the disk."""

    def __init__(self, profile: Path) -> None:
        to_child, to_parent = os.pipe(), os.pipe()
        read, write = (fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (to_child[0], to_parent[1]))

        def third_and_fourth() -> None:
            os.dup2(read, 3)
            os.dup2(write, 4)

        command = [
            found() or "", "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}", "--no-sandbox", "--disable-gpu",
            "--no-first-run", "--disable-dev-shm-usage", "--disable-extensions", "--hide-scrollbars",
            "--host-resolver-rules=MAP * ~NOTFOUND",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            command, pass_fds=(3, 4), preexec_fn=third_and_fourth, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for fd in (to_child[0], to_parent[1], read, write):
            os.close(fd)
        self._to, self._from = to_child[1], os.fdopen(to_parent[0], "rb", buffering=0)
        self._rest, self._number, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A command of the DevTools protocol, and its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = self._from.read(1 << 20)
            if not part:
                raise RuntimeError("the browser has gone")
            self._rest += part
        first, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        return message

    def open(self, page: Path, width: int, height: int, *, mobile: bool = False, media: str = "screen") -> None:
        """Load a page from disk at that size, and wait until it and its images are there."""
        self.events.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self.call("Emulation.setEmulatedMedia", media=media)
        self.call("Page.navigate", url=page.resolve().as_uri())
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self._next())
        # An image below the screen that loads when it is scrolled to would be waited for without end.
        self.value(
            "Promise.all([...document.images].map(i => { i.loading = 'eager'; return i.decode().catch(() => 0) }))"
        )

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives, as plain values."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    @property
    def problems(self) -> list[str]:
        """Since the page was opened."""
        said = []
        for event in self.events:
            method, params = event.get("method"), event.get("params", {})
            if method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                said.append(params["entry"]["text"])
            elif method == "Runtime.exceptionThrown":
                said.append(str(params["exceptionDetails"].get("text")))
            elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
                said.append(str(params["args"]))
            elif method == "Network.requestWillBeSent" and not params["request"]["url"].startswith(("file:", "data:")):
                said.append(f"request of {params['request']['url'][:200]}")
            elif method == "Network.loadingFailed":
                said.append(f"not loaded: {params.get('errorText')}")
        return said

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """The page as PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def pdf(self) -> bytes:
        """The page as printed on A4."""
        self.call("Emulation.setEmulatedMedia", media="")  # else it prints what the screen shows
        printed = self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        return base64.b64decode(printed["data"])

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._to)
        self._from.close()
        self._process.terminate()
        self._process.wait(timeout=20)
