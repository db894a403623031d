// What the pages draw with: axes, lines, points that can be dragged, numbers in words.
"use strict";

const view = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const $ = (id) => document.getElementById(id);

  // (Okabe and Ito's colours, told apart by all eyes, and a dash for each: see style.css)
  const style = (i) => `series s${i % 8}`;

  function element(parent, tag, attributes = {}, text = null) {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== null) made.textContent = text;
    parent.append(made);
    return made;
  }

  const number = (x, digits = 4) => (Number.isFinite(x) ? x.toFixed(digits).replace("-", "−") : "–");
  const power = (e) => "10" + String(e).replace("-", "⁻").replace(/\d/g, (c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]);

  // Round numbers from lo to hi, about so many.
  function ticks(lo, hi, about = 5) {
    const raw = (hi - lo) / about, unit = 10 ** Math.floor(Math.log10(raw));
    const step = unit * [1, 2, 5, 10].find((c) => c * unit >= raw * 0.999);
    const found = [];
    for (let i = Math.ceil(lo / step - 1e-9); i * step <= hi + 1e-9 * step; i++) found.push(i * step);
    return { found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
  }

  // A plot in an empty <svg>: x and y are ranges of data; `log` makes an axis one of log10.
  class Plot {
    constructor(svg, { width = 520, height = 420, xLog = false, yLog = false, left = yLog ? 82 : 56,
      right = 14, top = 12, bottom = 50, x, y, xLabel = "", yLabel = "", frame = true }) {
      Object.assign(this, { svg, width, height, left, right, top, bottom, xLog, yLog });
      svg.replaceChildren();
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      this.x = xLog ? x.map(Math.log10) : x;
      this.y = yLog ? y.map(Math.log10) : y;
      const clip = `clip-${svg.id}`;
      const box = { x: left, y: top, width: width - left - right, height: height - top - bottom };
      element(element(element(svg, "defs"), "clipPath", { id: clip }), "rect", box);
      this.axes = element(svg, "g", { class: "axes" });
      if (frame) element(this.axes, "rect", { ...box, class: "frame" });
      this.inner = element(svg, "g", { "clip-path": `url(#${clip})` });
      this.over = element(svg, "g");
      this.#grid(xLog, this.x, true);
      this.#grid(yLog, this.y, false);
      const middle = left + box.width / 2, centre = top + box.height / 2;
      element(this.axes, "text", { x: middle, y: height - 7, class: "label" }, xLabel);
      element(this.axes, "text", { x: 14, y: centre, class: "label",
        transform: `rotate(-90 14 ${centre})` }, yLabel);
    }

    px(x) {
      const [lo, hi] = this.x, value = this.xLog ? Math.log10(x) : x;
      return this.left + (this.width - this.left - this.right) * (value - lo) / (hi - lo);
    }

    py(y) {
      const [lo, hi] = this.y, value = this.yLog ? Math.log10(y) : y;
      return this.height - this.bottom
        - (this.height - this.top - this.bottom) * (value - lo) / (hi - lo);
    }

    // The point of data under a place on the screen.
    under(event) {
      const at = new DOMPoint(event.clientX, event.clientY)
        .matrixTransform(this.svg.getScreenCTM().inverse());
      const [x0, x1] = this.x, [y0, y1] = this.y;
      return [x0 + (at.x - this.left) / (this.width - this.left - this.right) * (x1 - x0),
        y0 + (this.height - this.bottom - at.y) / (this.height - this.top - this.bottom)
          * (y1 - y0)];
    }

    #grid(log, [lo, hi], across) {
      const made = log ? { found: [], digits: 0 } : ticks(lo, hi, across ? 6 : 5);
      const every = log ? Math.ceil((hi - lo) / 8) : 1;
      if (log) for (let e = Math.ceil(lo - 1e-9); e <= hi + 1e-9; e += every) made.found.push(e);
      for (const value of made.found) {
        const data = log ? 10 ** value : value;
        const text = log ? power(value) : number(value, made.digits);
        const at = across ? this.px(data) : this.py(data);
        const [end, side] = [this.height - this.bottom, this.width - this.right];
        element(this.axes, "line", across ? { x1: at, x2: at, y1: this.top, y2: end }
          : { y1: at, y2: at, x1: this.left, x2: side });
        element(this.axes, "text", across ? { x: at, y: end + 17, class: "tick" }
          : { x: this.left - 6, y: at + 4, class: "tick right" }, text);
      }
    }

    line(points, attributes) {
      let path = "", pen = "M";
      for (const [x, y] of points) {
        const at = [this.px(x), this.py(y)];
        if (!at.every(Number.isFinite)) { pen = "M"; continue; }
        path += `${pen}${at.map((v) => Math.max(-1e5, Math.min(1e5, v)).toFixed(2)).join(" ")}`;
        pen = "L";
      }
      return element(this.inner, "path", { d: path, ...attributes });
    }

    dot(x, y, attributes = {}) {
      return element(this.inner, "circle", { cx: this.px(x), cy: this.py(y), r: 4, ...attributes });
    }

    text(x, y, words, attributes = {}) {
      return element(this.over, "text", { x: this.px(x), y: this.py(y), class: "note",
        ...attributes }, words);
    }
  }

  // Let a mark be moved by mouse, touch and arrow keys: `moved(x, y)` is told where to, in data.
  function movable(mark, plot, at, moved, step = 0.05) {
    mark.setAttribute("tabindex", "0");
    mark.setAttribute("role", "button");
    mark.classList.add("movable");
    mark.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      mark.focus({ preventScroll: true });
      mark.setPointerCapture(event.pointerId);
    });
    // a finger on a mark moves it, and not the page: not all browsers ask the style of such a mark
    mark.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
    mark.addEventListener("pointermove", (event) => {
      if (mark.hasPointerCapture(event.pointerId)) moved(...plot().under(event));
    });
    mark.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
      if (!(event.key in by)) return;
      event.preventDefault();
      const [x, y] = at(), far = event.shiftKey ? 5 * step : step;
      moved(x + far * by[event.key][0], y + far * by[event.key][1]);
    });
  }

  // Call something once before the next frame, however often it is asked for.
  function once(action) {
    let asked = false;
    return () => {
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => { asked = false; action(); });
    };
  }

  // A table of rows of cells: the first row is the head; a cell is text, or {series, text}.
  function table(where, rows) {
    where.replaceChildren(...rows.map((cells, i) => {
      const row = document.createElement("tr");
      row.append(...cells.map((cell, j) => {
        const made = document.createElement(i === 0 ? "th" : j === 0 ? "th" : "td");
        made.scope = i === 0 ? "col" : "row";
        if (cell.series !== undefined) {
          const key = document.createElementNS(SVG, "svg");
          key.setAttribute("viewBox", "0 0 28 10");
          key.setAttribute("class", "key");
          key.setAttribute("aria-hidden", "true");
          element(key, "line", { x1: 1, x2: 27, y1: 5, y2: 5, class: style(cell.series) });
          made.append(key);
        }
        made.append(cell.text ?? cell);
        return made;
      }));
      return row;
    }));
  }

  // Sliders into an element: [id, label, min, max, step, value, digits]; `changed` at each change.
  function sliders(where, about, changed) {
    for (const [id, label, min, max, step, value, digits = 2, shown = (x) => number(x, digits)] of about) {
      const made = document.createElement("label"), input = document.createElement("input");
      const output = document.createElement("output");
      Object.assign(input, { type: "range", id, min, max, step, value });
      input.setAttribute("value", value);         // what a reset goes back to
      output.htmlFor = id;
      const say = () => { output.textContent = shown(Number(input.value)); };
      input.addEventListener("input", () => { say(); changed(); });
      input.addEventListener("reset", say);
      say();
      made.append(label, input, output);
      where.append(made);
    }
  }

  // All sliders and choices as they were.
  function reset() {
    for (const input of document.querySelectorAll("input[type=range]")) {
      input.value = input.getAttribute("value");
      input.dispatchEvent(new Event("reset"));
    }
    for (const select of document.querySelectorAll("select")) {
      select.selectedIndex = [...select.options].findIndex((o) => o.defaultSelected);
    }
  }

  const value = (id) => Number($(id).value);

  // Show an error where the answer would stand: a page that fails must say so.
  function failed(error) {
    $("status").textContent = `This page cannot run: ${error.message}`;
    $("status").classList.add("failed");
    throw error;
  }

  return { $, Plot, element, failed, movable, number, once, power, reset, sliders, style, table,
    value };
})();
