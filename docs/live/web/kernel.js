// From kernel to rich: a diagonal network from several scales, and where the flow from each ends.
"use strict";

(async () => {
  const { $, Plot, element, number, once, sliders, style, value } = view;
  const { plan, X, y } = PLANS, d = X[0].length;
  const engine = await fastbias.load();
  const zero = new Array(d).fill(0), LONG = 100000;
  const distance = (a, b) => Math.hypot(...a.map((x, j) => x - b[j]));
  const later = once(update);
  let runs = new Map(), now = null, waiting = null;

  sliders($("controls"), [["alpha", "α", -3, 1, 0.1, -1, 1, (e) => number(10 ** e, e < -1 ? 4 : 2)]], later);
  $("controls").append($("many"), $("bar"), $("reset"));

  // Where the flow ends, going down from a large scale, so that each dual variable is near the last.
  const flowFrom = (alpha) => theory.projection(X, y, theory.potentials.hypentropy(2 * alpha ** 2), zero);
  const sparse = theory.leastL1(X, y), least = theory.leastL2(X, y);
  const sigma2 = (() => {                          // the largest eigenvalue of XᵀX, by powers
    let v = new Array(d).fill(1), size = 1;
    for (let i = 0; i < 500; i++) {
      const p = X.map((row) => theory.dot(row, v));
      v = v.map((_, j) => p.reduce((t, c, n) => t + c * X[n][j], 0));
      size = Math.hypot(...v);
      v = v.map((x) => x / size);
    }
    return size;
  })();
  const grid = Array.from({ length: 41 }, (_, i) => 10 ** (-3 + i / 10));
  const ends = grid.map((alpha) => flowFrom(alpha));

  // η = 1/(4λ), λ = 8σ² max √(w² + 4α⁴) over the curvature of L in u at the end of the flow.
  function planned(alpha) {
    const goal = flowFrom(alpha) ?? least;
    const eta = 0.25 / (8 * sigma2 * Math.hypot(2 * alpha ** 2, Math.max(...goal.map(Math.abs))));
    return fastbias.change(plan, { u: new Array(2 * d).fill(alpha), rule: [eta] });
  }

  const predictor = (u) => Array.from({ length: d }, (_, j) => u[j] ** 2 - u[d + j] ** 2);
  const residual = (w) => Math.hypot(...X.map((row, n) => theory.dot(row, w) - y[n]));

  function update() {
    const begin = performance.now(), alpha = 10 ** value("alpha");
    const found = fastbias.run(engine, planned(alpha), LONG);
    now = { alpha, found, w: predictor(found.end), flow: flowFrom(alpha) };
    runs.set(alpha.toFixed(9), [alpha, now.w]);
    $("status").textContent = `${found.done.toLocaleString("en")} updates in ${number(performance.now() - begin, 0)} ms; `
      + `residual ${residual(now.w).toExponential(1)}`;
    draw();
  }

  function many() {
    const alphas = grid.filter((_, i) => i % 4 === 0);
    $("bar").hidden = false;
    const mine = fastbias.elsewhere(alphas.map(planned), LONG, [0, LONG], (share) => { $("bar").value = share; });
    waiting = mine;
    mine.then((results) => {
      if (waiting !== mine) return;
      waiting = null;
      results.forEach((r, i) => runs.set(alphas[i].toFixed(9), [alphas[i], predictor(r.end)]));
      $("bar").hidden = true;
      draw();
    }, view.failed);
  }

  function draw() {
    const all = [now.w, sparse, least].flat(), room = 0.1;
    const plot = new Plot($("weights"), { width: 520, height: 420, x: [0, d + 1], y: [Math.min(...all) - room, Math.max(...all) + room],
      xLabel: "weight", yLabel: "its value" });
    plot.line([[0, 0], [d + 1, 0]], { class: "line" });
    const wide = plot.px(1) - plot.px(0);
    now.w.forEach((v, j) => {
      const [top, bottom] = [plot.py(Math.max(0, v)), plot.py(Math.min(0, v))];
      element(plot.inner, "rect", { x: plot.px(j + 1) - wide / 4, width: wide / 2, y: top, height: Math.max(0.5, bottom - top), class: "f0" });
      if (now.flow) plot.dot(j + 1, now.flow[j], { class: "ring", r: 5 });
      plot.text(j + 1, sparse[j], "▲", { "text-anchor": "middle", dy: 4, style: "fill: var(--c2)" });
      plot.text(j + 1, least[j], "×", { "text-anchor": "middle", dy: 5, style: "fill: var(--c1); font-size: 17px" });
    });
    const lines = [["least ℓ1 norm", sparse, 2], ["least ℓ2 norm", least, 1]];
    const most = Math.max(distance(sparse, least), ...ends.filter(Boolean).flatMap((w) => [distance(w, sparse), distance(w, least)]));
    const right = new Plot($("scales"), { width: 520, height: 420, x: [1e-3, 10], xLog: true, y: [0, 1.08 * most],
      xLabel: "scale of the start, α", yLabel: "distance" });
    for (const [, to, k] of lines) {
      right.line(grid.map((a, i) => [a, ends[i] ? distance(ends[i], to) : NaN]), { class: style(k) });
      for (const [alpha, w] of runs.values()) right.dot(alpha, distance(w, to), { class: `f${k}` });
    }
    right.line([[now.alpha, 0], [now.alpha, 2 * most]], { class: "line" });
    view.table($("table"), [["distance to", "of the run", "of the flow's end"],
      ...lines.map(([name, to, k]) => [{ series: k, text: name }, number(distance(now.w, to), 5), number(now.flow ? distance(now.flow, to) : NaN, 5)]),
      ["the end of the flow from α", number(now.flow ? distance(now.w, now.flow) : NaN, 5), "0"]]);
  }

  $("many").addEventListener("click", many);
  $("reset").addEventListener("click", () => {
    view.reset();
    runs = new Map();
    update();
  });
  window.live = { state: () => ({ waiting: waiting !== null, alpha: now.alpha, w: now.w, flow: now.flow, sparse, least,
    eta: Number(planned(now.alpha).params.rule[0]), done: now.found.done }) };
  update();
})().catch(view.failed);
