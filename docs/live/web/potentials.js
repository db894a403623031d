// One underdetermined regression and six potentials: where each mirror descent ends.
"use strict";

(async () => {
  const { $, Plot, number, once, sliders, style, value } = view;
  const { plans, X } = PLANS, d = X[0].length, STEPS = 10000;
  const engine = await fastbias.load();
  const later = once(update), RECORD = fastbias.spaced(STEPS, 200);
  let runs = [];

  sliders($("controls"), [["y1", "y₁", 0.5, 4, 0.1, 2.5, 1], ["y2", "y₂", -2, 2, 0.1, 0.6, 1],
    ["beta", "β of hypentropy", -3, 1, 0.1, -2, 1, (e) => number(10 ** e, 3)],
    ["p", "p of the power", 1.2, 4, 0.1, 3, 1]], later);
  $("controls").append($("reset"));

  // The larger eigenvalue of 2 X diag(slopes) Xᵀ, of two rows.
  function curvature(slopes) {
    const [[a, b], [, c]] = X.map((r) => X.map((s) => 2 * r.reduce((t, x, j) => t + x * slopes[j] * s[j], 0)));
    return (a + c) / 2 + Math.hypot((a - c) / 2, b);
  }

  function chosen() {
    const beta = 10 ** value("beta"), p = value("p"), psi = theory.potentials;
    return [
      { name: "euclidean, ½Σw²", key: "euclidean", psi: psi.euclidean, start: 0 },
      { name: "entropy, Σ w log w − w", key: "entropy", psi: psi.entropy, start: 1 },
      { name: `hypentropy, β = ${number(beta, 3)}`, key: "hypentropy", psi: psi.hypentropy(beta), start: 0, geometry: [beta] },
      { name: "cosh, Σ cosh w", key: "cosh", psi: psi.cosh, start: 0 },
      { name: "power, Σ|w|^1.5 / 1.5", key: "power", psi: psi.power(1.5), start: 0, geometry: [1.5] },
      { name: `power, Σ|w|^p / p, p = ${number(p, 1)}`, key: "power", psi: psi.power(p), start: 0, geometry: [p] }];
  }

  function update() {
    const begin = performance.now(), y = [value("y1"), value("y2")];
    runs = chosen().map((one) => {
      const w0 = new Array(d).fill(one.start), limit = theory.projection(X, y, one.psi, w0);
      if (!limit) return { ...one, limit };
      const at = [limit, w0].map((w) => curvature(w.map((x) => one.psi.slope(one.psi.link(x))))).filter((c) => c < 1e6);
      const rule = [0.5 / Math.max(...at)], what = { y, rule, ...(one.geometry ? { geometry: one.geometry } : {}) };
      return { ...one, limit, rule, found: fastbias.run(engine, fastbias.change(plans[one.key], what), STEPS, RECORD) };
    });
    const updates = runs.reduce((total, run) => total + (run.found ? run.found.done : 0), 0);
    $("status").textContent = `${updates.toLocaleString("en")} updates in ${number(performance.now() - begin, 0)} ms`
      + (runs.some((run) => !run.limit) ? "; without a projection there is no run" : "");
    draw();
  }

  const gap = (u, limit) => Math.hypot(...limit.map((w, j) => w - u[j]));

  function draw() {
    const done = runs.filter((run) => run.found), all = done.flatMap((run) => [...run.found.end, ...run.limit]);
    const plot = new Plot($("weights"), { width: 520, height: 420, x: [0.5, d + 0.5], y: [Math.min(0, ...all) - 0.15, Math.max(...all) + 0.15],
      xLabel: "weight", yLabel: "its value" });
    plot.line([[0, 0], [d + 1, 0]], { class: "line" });
    runs.forEach((run, k) => run.found && run.limit.forEach((w, j) => {
      const x = j + 1 + (k - 2.5) * 0.13;
      plot.line([[x, 0], [x, run.found.end[j]]], { class: style(k) });
      plot.dot(x, run.found.end[j], { class: `f${k}`, r: 3.5 });
      plot.dot(x, w, { class: "ring", r: 6 });
    }));
    const right = new Plot($("time"), { width: 520, height: 420, x: [1, STEPS], xLog: true, y: [1e-16, 10], yLog: true,
      xLabel: "updates", yLabel: "distance to the projection" });
    runs.forEach((run, k) => run.found && right.line(run.found.t.map((t, i) => [t, Math.max(1e-16, gap(run.found.u[i], run.limit))])
      .filter(([t]) => t > 0), { class: style(k) }));
    view.table($("table"), [["potential", "η", "updates", "distance to the projection"],
      ...runs.map((run, k) => [{ series: k, text: run.name }, ...(run.found ? [number(run.rule[0], 4),
        run.found.done.toLocaleString("en"), gap(run.found.end, run.limit).toExponential(1).replace("-", "−")] : ["–", "–", "–"])])]);
  }

  $("reset").addEventListener("click", () => { view.reset(); update(); });
  window.live = { state: () => ({ waiting: false, X, y: [value("y1"), value("y2")], beta: 10 ** value("beta"), p: value("p"),
    rules: runs.map((run) => run.rule && run.rule[0]), limits: runs.map((run) => run.limit),
    ends: runs.map((run) => run.found && [...run.found.end]) }) };
  update();
})().catch(view.failed);
