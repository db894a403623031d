// AdaBoost: coordinate descent with exact steps and with shrinkage, its margin, and its cycle.
"use strict";

(async () => {
  const { $, Plot, element, number, once, sliders, style, value } = view;
  const START = PLANS.M, N = START.length, d = START[0].length;
  const engine = await fastbias.load();
  let M = START.map((row) => [...row]), runs = [], best = null, cycle = null, cells = null;
  const later = once(update);

  sliders($("controls"), [["nu", "shrinkage ν", 0.05, 1, 0.05, 0.5]], later);
  $("controls").append($("reset"));

  const steps = () => Number($("steps").value);
  const l1 = (w) => w.reduce((total, x) => total + Math.abs(x), 0);
  const margin = (w) => Math.min(...M.map((row) => theory.dot(row, w))) / l1(w);

  // Weights of the samples, e^{−⟨w, row⟩} of sum 1.
  function weights(w) {
    const sizes = M.map((row) => -theory.dot(row, w)), top = Math.max(...sizes);
    const shares = sizes.map((s) => Math.exp(s - top)), all = shares.reduce((a, b) => a + b);
    return shares.map((s) => s / all);
  }

  // The period with which the weights of the samples repeat at the end of a run, or null.
  function period(found) {
    const last = found.length - 1;
    for (let p = 1; p <= last / 2; p++) {
      let same = true;
      for (let i = last; same && i > last - p; i--) {
        same = found[i].every((x, n) => Math.abs(x - found[i - p][n]) < 1e-7);
      }
      if (same) return p;
    }
    return null;
  }

  function update() {
    const begin = performance.now(), T = steps();
    const record = [...new Set([...fastbias.spaced(T, 150), ...Array.from({ length: 60 }, (_, i) => T - 59 + i)])]
      .filter((t) => t >= 0).sort((a, b) => a - b);
    const X = M, nu = value("nu");
    runs = [["exact steps: AdaBoost", "exact", {}], [`exact steps × ν = ${number(nu, 2)}`, "shrunk", { rule: [nu] }],
      ["steps 0.1/L of ℓ1 steepest descent", "scaled", {}]].map(([name, key, what]) => ({ name,
      ...fastbias.run(engine, fastbias.change(PLANS[key], { X, ...what }), T, record) }));
    best = theory.l1Margin(M);
    const tail = runs[0].u.slice(-60).map(weights);
    cycle = runs[0].done === T && tail.length === 60 ? period(tail) : null;
    const ms = performance.now() - begin;
    $("status").textContent = `${runs.length} runs of ${T.toLocaleString("en")} rounds in ${number(ms, 0)} ms. `
      + (best ? "" : "No weights have a positive margin on these votes. ")
      + (runs[0].status === "UNBOUNDED" ? "A learner is right on all samples: its exact step has no end. " : "")
      + (cycle ? `Exact steps have come to a cycle of ${cycle} round${cycle > 1 ? "s" : ""}, to seven digits.` : "");
    draw(tail);
  }

  function drawVotes() {
    const size = 40, left = 88, top = 26, svg = $("votes");
    if (!cells) {
      svg.setAttribute("viewBox", `0 0 ${left + d * size + 24} ${top + N * size + 96}`);
      cells = M.map((row, n) => row.map((_, j) => {
        const cell = element(svg, "rect", { x: left + j * size + 2, y: top + n * size + 2, width: size - 4,
          height: size - 4, rx: 5, tabindex: 0, role: "button", class: "movable" });
        const turn = () => { M[n][j] *= -1; later(); };
        cell.addEventListener("click", turn);
        cell.addEventListener("keydown", (event) => {
          if (event.key !== "Enter" && event.key !== " ") return;
          event.preventDefault();
          turn();
        });
        return cell;
      }));
      M.forEach((_, n) => element(svg, "text", { x: left - 8, y: top + n * size + 25, class: "tick right" }, `sample ${n + 1}`));
      M[0].forEach((_, j) => element(svg, "text", { x: left + (j + 0.5) * size, y: top - 8, class: "tick" }, `h${"₁₂₃₄₅₆₇₈"[j]}`));
      svg.bars = element(svg, "g");
    }
    cells.forEach((row, n) => row.forEach((cell, j) => {
      cell.setAttribute("class", M[n][j] > 0 ? "movable plus" : "movable minus");
      cell.setAttribute("aria-label", `learner ${j + 1} is ${M[n][j] > 0 ? "right" : "wrong"} on sample ${n + 1}; Enter turns it`);
    }));
    svg.bars.replaceChildren();
    const base = top + N * size + 76, all = l1(runs[0].end) || 1;
    element(svg.bars, "line", { x1: left, x2: left + d * size, y1: base, y2: base, class: "line" });
    element(svg.bars, "text", { x: left - 8, y: base - 20, class: "tick right" }, "weight");
    M[0].forEach((_, j) => {
      const height = 60 * runs[0].end[j] / all * 2, x = left + (j + 0.5) * size;
      element(svg.bars, "rect", { x: x - 7, y: base - Math.max(0, height), width: 14, height: Math.abs(height), class: "f0" });
      if (best) element(svg.bars, "circle", { cx: x, cy: base - 120 * best.w[j], r: 5, class: "ring" });
    });
  }

  function draw(tail) {
    drawVotes();
    const paths = runs.map((run) => run.t.map((t, i) => [t, t > 0 ? margin(run.u[i]) : NaN]).filter(([, m]) => Number.isFinite(m)));
    const all = paths.flat().map(([, m]) => m).filter((m) => m > -0.3);
    const hi = Math.max(0.1, best ? best.margin : 0, ...all), lo = Math.max(-0.25, Math.min(0, ...all));
    const plot = new Plot($("time"), { width: 520, height: 420, x: [1, steps()], xLog: true, y: [lo, hi * 1.08 + 0.01],
      xLabel: "rounds", yLabel: "ℓ1 margin" });
    if (best) plot.line([[1, best.margin], [steps(), best.margin]], { class: "series s6 theory" });
    paths.forEach((path, k) => plot.line(path, { class: style(k) }));
    const shades = new Plot($("weights"), { width: 520, height: 300, x: [0, 60], y: [N + 0.5, 0.5],
      xLabel: "the last rounds", yLabel: "sample" });
    tail.forEach((shares, i) => shares.forEach((share, n) => element(shades.inner, "rect", {
      x: shades.px(i), y: shades.py(n + 0.5), width: shades.px(1) - shades.px(0) - 0.5,
      height: shades.py(1.5) - shades.py(0.5) - 1, class: "f0", opacity: Math.min(1, 2.5 * share) })));
    view.table($("table"), [["method", "rounds", "margin reached", "share of the maximum"],
      ...runs.map((run, k) => [{ series: k, text: run.name }, run.done.toLocaleString("en"),
        number(margin(run.end), 6), best ? `${number(100 * margin(run.end) / best.margin, 2)} %` : "–"])]);
  }

  $("steps").addEventListener("change", update);
  $("matrix").addEventListener("change", () => {
    M = $("matrix").value === "cycle" ? START.map((row) => [...row])
      : START.map((row) => row.map(() => (Math.random() < 0.62 ? 1 : -1)));
    update();
  });
  $("reset").addEventListener("click", () => {
    view.reset();
    M = START.map((row) => [...row]);
    update();
  });
  window.live = { state: () => ({ waiting: false, M, steps: steps(), nu: value("nu"), best, cycle,
    ends: runs.map((run) => [...run.end]), status: runs.map((run) => run.status) }) };
  update();
})().catch(view.failed);
