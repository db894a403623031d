"""Chromium without a window, told what to do over a pipe (the DevTools protocol), and what it says meanwhile.

Nothing but the browser is needed: no driver, no library.
"""
import base64
import json
import os
import shutil
import subprocess
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--disable-background-networking", "--hide-scrollbars", "--remote-debugging-pipe")


def found():
    """The browser's command, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page: `visit` it, `ask` it an expression, take its `picture`; `said` is what went wrong meanwhile."""

    def __init__(self, folder, patience=60.0):
        ours, theirs = os.pipe(), os.pipe()                   # commands, answers: the browser's descriptors 3 and 4
        for fd in (ours[0], theirs[1]):
            os.set_inheritable(fd, True)
        command = [found(), *FLAGS, f"--user-data-dir={folder}", "about:blank"]
        shuffle = f'exec "$@" 3<&{ours[0]} 4>&{theirs[1]}'
        self.process = subprocess.Popen(["bash", "-c", shuffle, "bash", *command], pass_fds=(ours[0], theirs[1]),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(ours[0])
        os.close(theirs[1])
        self.out, self.into, self.patience = ours[1], os.fdopen(theirs[0], "rb"), patience
        self.number, self.events, self.buffer, self.session = 0, [], b"", None
        os.set_blocking(self.into.fileno(), False)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        os.close(self.out)
        self.into.close()

    def _messages(self, seconds):
        """What has come, waiting for it at most so long."""
        end = time.monotonic() + seconds
        while b"\0" not in self.buffer:
            part = self.into.read()
            if part:
                self.buffer += part
            elif time.monotonic() > end:
                return []
            else:
                time.sleep(0.005)
        *whole, self.buffer = self.buffer.split(b"\0")
        return [json.loads(text) for text in whole]

    def call(self, method, **params):
        """A command and its answer."""
        self.number += 1
        about = {"id": self.number, "method": method, "params": params}
        os.write(self.out, json.dumps(about | ({"sessionId": self.session} if self.session else {})).encode() + b"\0")
        end, answer = time.monotonic() + self.patience, None
        while answer is None:
            if time.monotonic() > end:
                raise TimeoutError(method)
            for message in self._messages(1.0):
                if message.get("id") == self.number:
                    answer = message
                else:
                    self.events.append(message)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def ask(self, expression):
        """The value of an expression of JavaScript in the page; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def until(self, expression):
        """The first true value of an expression, asked again and again."""
        end = time.monotonic() + self.patience
        while not (value := self.ask(expression)):
            if time.monotonic() > end:
                raise TimeoutError(expression)
            time.sleep(0.01)
        return value

    def visit(self, url):
        """Load a page to its end."""
        self.events.clear()
        self.call("Page.navigate", url=url)
        self.until(f"location.href.split('#')[0] == {json.dumps(url.partition('#')[0])} && document.readyState == 'complete'")

    def said(self):
        """Errors of the console, exceptions, and requests that failed since the page was asked for."""
        out = []
        for event in self.events:
            name, about = event.get("method"), event.get("params", {})
            if name == "Runtime.exceptionThrown":
                out.append(str(about["exceptionDetails"].get("exception", about["exceptionDetails"])))
            elif name == "Runtime.consoleAPICalled" and about["type"] in ("error", "assert"):
                out.append(str([arg.get("value", arg.get("description")) for arg in about["args"]]))
            elif name == "Log.entryAdded" and about["entry"]["level"] == "error":
                out.append(f"{about['entry']['text']} {about['entry'].get('url', '')}")
        return out

    def requested(self):
        """The addresses that the page asked for."""
        return [event["params"]["request"]["url"] for event in self.events if event.get("method") == "Network.requestWillBeSent"]

    def dress(self, width, height=900, dark=False):
        """The window's size, and whether the reader likes it dark."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def picture(self, path):
        """What the window shows, as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
