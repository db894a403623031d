// One data set, seven geometries: steepest descent in seven norms, and the margins that they go to.
"use strict";

(async () => {
  const { $, Plot, movable, number, once, style } = view;
  const { data, geometries, plans } = PLANS;                   // geometries.plans.js
  const norms = { l2: theory.norms.l2, l1: theory.norms.l1, linf: theory.norms.linf,
    ...Object.fromEntries(geometries.filter((g) => g.p).map((g) => [g.key, theory.norms.lp(g.p)])),
    ...Object.fromEntries(geometries.filter((g) => g.D).map((g) => [g.key, theory.norms.quadratic(g.D)])) };
  const START = data.X, y = data.y, WIDE = 3.6, HIGH = 3.1;
  let X = START.map((x) => [...x]), runs = [], limits = [], waiting = null, plane = null;
  const engine = await fastbias.load();

  const degrees = ([a, b]) => Math.atan2(b, a) * 180 / Math.PI;
  const steps = () => Number($("steps").value);
  const wanted = () => geometries.map((g) =>
    fastbias.change(plans[`${g.key} ${$("loss").value} ${$("rule").value}`], { X }));

  // An angle as near as may be to another, so that no line jumps by 360°.
  const near = (angle, to) => angle - 360 * Math.round((angle - to) / 360);

  function theoryNow() {
    const Z = X.map(([a, b], n) => [y[n] * a, y[n] * b]);
    limits = geometries.map((g) => theory.maxMargin(Z, norms[g.key]));
  }

  function shown(ms, where) {
    const open = limits[0] === null ? " No w separates these points, so there is no maximum margin." : "";
    const stopped = runs.filter((r) => r.done < steps()).length;
    $("status").textContent = `${runs.length} runs of ${steps().toLocaleString("en")} updates in `
      + `${Math.round(ms).toLocaleString("en")} ms${where}.${open}`
      + (stopped ? ` ${stopped} came to an end before.` : "");
    draw();
  }

  function update() {
    theoryNow();
    if (waiting) waiting.stop();
    waiting = null;
    $("bar").hidden = true;
    const begin = performance.now();
    if (steps() > 1e6) return long(begin);
    const record = fastbias.spaced(steps());
    runs = wanted().map((plan) => fastbias.run(engine, plan, steps(), record));
    return shown(performance.now() - begin, "");
  }

  function long(begin) {
    $("bar").hidden = false;
    $("bar").value = 0;
    $("status").textContent = "Running in a worker; the page stays awake …";
    draw();
    const mine = fastbias.elsewhere(wanted(), steps(), fastbias.spaced(steps(), 160),
      (share) => { $("bar").value = share; });
    waiting = mine;
    mine.then((results) => {
      if (waiting !== mine) return;
      [waiting, runs] = [null, results];
      $("bar").hidden = true;
      shown(performance.now() - begin, " in a worker");
    }, view.failed);
  }

  const later = once(update);

  function drawPlane() {
    const fresh = !plane;
    if (fresh) {
      plane = new Plot($("plane"), { width: 520, height: 452, x: [-WIDE, WIDE], y: [-HIGH, HIGH],
        xLabel: "x₁", yLabel: "x₂" });
      plane.marks = X.map((_, n) => {
        const mark = view.element(plane.over, "circle", { r: 9, class: y[n] > 0 ? "plus" : "minus" });
        movable(mark, () => plane, () => X[n], (a, b) => {
          X[n] = [Math.max(-WIDE, Math.min(WIDE, a)), Math.max(-HIGH, Math.min(HIGH, b))];
          place();
          later();
        });
        return mark;
      });
    }
    plane.inner.replaceChildren();
    runs.forEach((run, k) => {
      const size = Math.hypot(...run.end), [a, b] = [...run.end].map((v) => v / size);
      if (!Number.isFinite(a)) return;
      plane.line([[-9 * b, 9 * a], [9 * b, -9 * a]], { class: style(k), opacity: 0.75 });
      plane.line([[0, 0], [1.1 * a, 1.1 * b]], { class: style(k), "stroke-width": 4 });
      plane.dot(1.1 * a, 1.1 * b, { class: `f${k}`, r: 4.5 });
    });
    place();
  }

  function place() {
    plane.marks.forEach((mark, n) => {
      mark.setAttribute("cx", plane.px(X[n][0]));
      mark.setAttribute("cy", plane.py(X[n][1]));
      mark.setAttribute("aria-label", `point ${n + 1} of ${X.length}, label ${y[n] > 0 ? "+1" : "−1"}, at `
        + `${number(X[n][0], 2)}, ${number(X[n][1], 2)}; arrow keys move it`);
    });
  }

  function drawTime() {
    const centre = limits[0] ? degrees(limits[0].w) : runs[0] ? degrees(runs[0].end) : 45;
    const paths = runs.map((run) => run.t.map((t, i) => [t, near(degrees(run.u[i]), centre)])
      .filter(([t, angle]) => t > 0 && Number.isFinite(angle)));
    const ends = limits.map((limit) => limit && near(degrees(limit.w), centre));
    const all = [...paths.flat().map(([, angle]) => angle), ...ends.filter((e) => e !== null)];
    const [lo, hi] = all.length ? [Math.min(...all), Math.max(...all)] : [0, 90];
    const plot = new Plot($("time"), { width: 520, height: 452, x: [1, steps()], xLog: true,
      y: [lo - 3, hi + 3], xLabel: "updates", yLabel: "direction of w (degrees)" });
    ends.forEach((end, k) => {
      if (end !== null) plot.line([[1, end], [steps(), end]], { class: `${style(k)} theory` });
    });
    paths.forEach((path, k) => plot.line(path, { class: style(k) }));
  }

  function draw() {
    drawPlane();
    drawTime();
    view.table($("table"), [
      ["norm of the steps", "w reached", "w of the maximum margin", "degrees apart", "margin, share of the maximum"],
      ...geometries.map((g, k) => {
        const run = runs[k], limit = limits[k], norm = norms[g.key];
        const reached = run ? degrees(run.end) : NaN, best = limit ? degrees(limit.w) : NaN;
        const margin = run && limit ? Math.min(...X.map((x, n) => y[n] * theory.dot(x, run.end)))
          / norm.of(run.end) / limit.margin : NaN;
        return [{ series: k, text: g.name }, `${number(reached, 3)}°`, `${number(best, 3)}°`,
          number(Math.abs(near(reached, best) - best), 3), `${number(100 * margin, 2)} %`];
      })]);
  }

  for (const id of ["loss", "rule", "steps"]) $(id).addEventListener("change", update);
  $("reset").addEventListener("click", () => {
    X = START.map((x) => [...x]);
    update();
  });
  // what a test asks
  window.live = { state: () => ({ X, y, loss: $("loss").value, rule: $("rule").value, steps: steps(),
    ends: runs.map((r) => [...r.end]), status: runs.map((r) => r.status), waiting: waiting !== null,
    limits }) };
  update();
})().catch(view.failed);
