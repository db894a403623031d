// Figure 1 of the paper: runs on equations with a line of solutions, and the solution one would expect.
"use strict";

(async () => {
  const { $, Plot, number, once, sliders, style, value } = view;
  const engine = await fastbias.load();
  const STEPS = 10000, RECORD = fastbias.spaced(STEPS, 300);
  const { entropy, power } = theory.potentials;
  const later = once(update);
  const SHORT = 0.001;

  sliders($("a-controls"), [
    ["a-eta", "η", 0.005, 0.12, 0.005, 0.05, 3], ["a-beta", "β", 0, 0.9, 0.05, 0.5],
    ["a-gamma", "γ", 0, 0.9, 0.05, 0], ["a-x1", "x₁", 0.2, 3, 0.1, 1, 1],
    ["a-x2", "x₂", 0.2, 3, 0.1, 2, 1], ["a-y", "y", 0.2, 3, 0.1, 1, 1]], later);
  sliders($("b-controls"), [
    ["b-eta", "η", 0.005, 0.15, 0.001, 0.11, 3], ["b-x1", "x₁", 0.2, 3, 0.1, 1, 1],
    ["b-x2", "x₂", 0.2, 3, 0.1, 2, 1], ["b-y", "y", 0.2, 3, 0.1, 1, 1]], later);
  sliders($("c-controls"), [
    ["c-eta", "η", 0.005, 0.2, 0.005, 0.13, 3], ["c-y1", "y₁", -3, 3, 0.1, 1, 1],
    ["c-y2", "y₂", 2, 14, 0.5, 10, 1]], later);

  // What each panel runs, on which data, where one would expect it to end, and what is seen.
  function panels() {
    const plane = (id) => ({ X: [[value(`${id}-x1`), value(`${id}-x2`)]], y: [value(`${id}-y`)] });
    const a = plane("a"), b = plane("b");
    const c = { X: PLANS.c.X, y: [value("c-y1"), value("c-y2")] };
    const [eta, beta, gamma] = [[value("a-eta")], [value("a-beta")], [value("a-gamma")]];
    return [{
      id: "momentum", table: "a-table", axes: [0, 1], data: a,
      star: theory.projection(a.X, a.y, entropy, [1, 1]), runs: [
        { name: "no momentum", plan: PLANS.a.plain, what: { rule: eta } },
        { name: `β = ${number(beta[0], 2)}, γ = ${number(gamma[0], 2)}`, plan: PLANS.a.primal,
          what: { rule: eta, beta, gamma } },
        { name: `dual, β = ${number(beta[0], 2)}`, plan: PLANS.a.dual, what: { rule: eta, beta } }],
    }, {
      id: "natural", table: "b-table", axes: [0, 1], data: b,
      star: theory.projection(b.X, b.y, entropy, [1, 1]), runs: [
        { name: `η = ${SHORT}`, plan: PLANS.b.plan, what: { rule: [SHORT] } },
        { name: `η = ${number(value("b-eta") / 2, 4)}`, plan: PLANS.b.plan, what: { rule: [value("b-eta") / 2] } },
        { name: `η = ${number(value("b-eta"), 3)}`, plan: PLANS.b.plan, what: { rule: [value("b-eta")] } }],
    }, {
      id: "steepest", table: "c-table", axes: [0, 2], data: c,
      // from 0, least ½‖w‖² is least Σ|w_j|^p
      star: theory.projection(c.X, c.y, power(4 / 3), [0, 0, 0]), runs: [
        { name: `η = ${SHORT}`, plan: PLANS.c.plan, what: { rule: [SHORT] } },
        { name: `η = ${number(value("c-eta") / 2, 4)}`, plan: PLANS.c.plan, what: { rule: [value("c-eta") / 2] } },
        { name: `η = ${number(value("c-eta"), 3)}`, plan: PLANS.c.plan, what: { rule: [value("c-eta")] } }],
    }];
  }

  // Two far points of the line of solutions, as seen.
  function solutions(panel) {
    const { X, y } = panel.data;
    const some = theory.leastL2(X, y);
    const along = X.length === 1 ? [-X[0][1], X[0][0]]
      : [X[0][1] * X[1][2] - X[0][2] * X[1][1], X[0][2] * X[1][0] - X[0][0] * X[1][2],
        X[0][0] * X[1][1] - X[0][1] * X[1][0]];
    return [-99, 99].map((c) => panel.axes.map((j) => some[j] + c * along[j]));
  }

  function draw(panel) {
    const seen = panel.runs.flatMap((run) => run.found.u.map((u) => panel.axes.map((j) => u[j])))
      .concat(panel.star ? [panel.axes.map((j) => panel.star[j])] : []).filter((p) => p.every((v) => Math.abs(v) < 50));
    const range = (i) => {
      const [lo, hi] = [Math.min(...seen.map((p) => p[i])), Math.max(...seen.map((p) => p[i]))];
      const room = 0.12 * (hi - lo) + 0.03;
      return [lo - room, hi + room];
    };
    const plot = new Plot($(panel.id), { width: 400, height: 360, x: range(0), y: range(1),
      xLabel: `w${"₁₂₃"[panel.axes[0]]}`, yLabel: `w${"₁₂₃"[panel.axes[1]]}` });
    plot.line(solutions(panel), { class: "line" });
    panel.runs.forEach((run, k) => {
      const points = run.found.u.map((u) => panel.axes.map((j) => u[j]));
      plot.line(points, { class: style(k) });
      const [x, y] = points[points.length - 1];
      if (run.stopped) plot.text(x, y, "✕", { "text-anchor": "middle", dy: 5, class: `f${k}` });
      else plot.dot(x, y, { class: `f${k}`, r: 5 });
    });
    const [x0, y0] = panel.axes.map((j) => panel.runs[0].found.u[0][j]);
    plot.dot(x0, y0, { class: "ring", r: 4 });
    plot.text(x0, y0, "w(0)", { dx: -8, dy: -8, "text-anchor": "end" });
    if (panel.star) {
      const [x, y] = panel.axes.map((j) => panel.star[j]);
      plot.text(x, y, "★", { "text-anchor": "middle", dy: 7, style: "font-size: 22px; fill: var(--ink)" });
    }
    view.table($(panel.table), [["run", "updates", "distance to ★"],
      ...panel.runs.map((run, k) => [{ series: k, text: run.name }, run.found.done.toLocaleString("en"),
        run.stopped ? run.stopped : panel.star
          ? number(Math.hypot(...panel.star.map((w, j) => w - run.found.end[j])), 6) : "–"])]);
  }

  let shown = [];

  function update() {
    const begin = performance.now();
    shown = panels();
    let updates = 0;
    for (const panel of shown) {
      for (const run of panel.runs) {
        run.found = fastbias.run(engine, fastbias.change(run.plan, { ...run.what, ...panel.data }), STEPS, RECORD);
        run.stopped = { OUT_OF_DOMAIN: "left the domain", NOT_FINITE: "not finite" }[run.found.status];
        updates += run.found.done;
      }
    }
    const ms = performance.now() - begin;
    shown.forEach(draw);
    $("status").textContent = `${updates.toLocaleString("en")} updates in ${number(ms, 0)} ms`;
  }

  $("reset").addEventListener("click", () => { view.reset(); update(); });
  window.live = { state: () => ({ waiting: false, panels: shown.map((panel) => ({ ...panel.data, star: panel.star,
    ends: panel.runs.map((run) => [...run.found.end]), status: panel.runs.map((run) => run.found.status) })) }) };
  update();
})().catch(view.failed);
