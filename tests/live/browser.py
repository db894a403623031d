"""A reader of the live pages: opens one, drags a point, presses a key, moves a slider."""
import base64
import json

from tests.helpers.browser import Browser

PATIENCE = 120.0                                          # seconds for an answer on a busy machine
READY = "window.live && !window.live.state().waiting"


class Page(Browser):
    """A window of a browser, as `tests.helpers.browser` has it, and hands."""

    def __init__(self, folder):
        super().__init__(folder, PATIENCE)

    def open(self, url, ready=READY):
        """Go to a page and wait until it says that it is ready."""
        self.visit(url)
        self.wait(ready)

    def wait(self, condition, patience=PATIENCE):
        """Wait until a condition of the page is true."""
        usual, self.patience = self.patience, patience
        try:
            self.until(f"Boolean({condition})")
        finally:
            self.patience = usual

    def drag(self, selector, dx, dy):
        """Take what a selector finds by its middle, and move it by so many pixels."""
        x, y = self._middle(selector)
        self._mouse("mouseMoved", x, y, 0)
        self._mouse("mousePressed", x, y, 1)
        for i in range(1, 6):
            self._mouse("mouseMoved", x + dx * i / 5, y + dy * i / 5, 1)
        self._mouse("mouseReleased", x + dx, y + dy, 0)

    def swipe(self, selector, dx, dy):
        """Put a finger on what a selector finds, and move it by so many pixels."""
        x, y = self._middle(selector)
        self.call("Emulation.setTouchEmulationEnabled", enabled=True)
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        for i in range(1, 6):
            self.call("Input.dispatchTouchEvent", type="touchMove", touchPoints=[{"x": x + dx * i / 5, "y": y + dy * i / 5}])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.call("Emulation.setTouchEmulationEnabled", enabled=False)

    def _middle(self, selector):
        """Where the middle of what a selector finds is, in the window."""
        return self.ask(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
                        " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()")

    def _mouse(self, kind, x, y, buttons):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=buttons, clickCount=1)

    def key(self, name):
        """Press a key on what has the focus."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name)
        self.frame()

    def frame(self):
        """Wait for the next frame: pages answer before it, and until then show what was."""
        self.ask("new Promise(requestAnimationFrame)")

    def choose(self, **values):
        """Set sliders and choices by their ids (a_eta is "a-eta")."""
        for name, value in values.items():
            self.ask(f"(() => {{ const e = document.getElementById({json.dumps(name.replace('_', '-'))}); e.value = {json.dumps(str(value))};"
                     " for (const kind of ['input', 'change']) e.dispatchEvent(new Event(kind, {bubbles: true})); })()")
        self.frame()

    def whole(self, path):
        """A picture of all of the page, not of the window alone."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True,
                         clip={"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1})["data"]
        path.write_bytes(base64.b64decode(data))
