// node compare.js FOLDER CASES.json: runs each case and prints, as JSON, where it went, beside where it should.
"use strict";
const fs = require("fs"), path = require("path");
const fastbias = require(path.join(__dirname, "..", "..", "docs", "live", "web", "engine.js"));

const hex = (array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("hex");
const numbers = (text) => new Float64Array(Uint8Array.from(Buffer.from(text, "hex")).buffer);

function apart(a, b) {
  let gap = 0, size = 0;
  for (let i = 0; i < b.length; i++) {
    if (Number.isNaN(a[i]) !== Number.isNaN(b[i])) return Infinity;
    gap = Math.max(gap, Math.abs(a[i] - b[i]) || 0);
    size = Math.max(size, Math.abs(b[i]) || 0);
  }
  return a.length === b.length ? gap / (size || 1) : Infinity;
}

(async () => {
  const [folder, file] = process.argv.slice(2);
  const engine = await fastbias.Engine.from(fs.readFileSync(path.join(folder, "fastbias.wasm")),
    JSON.parse(fs.readFileSync(path.join(folder, "names.json"))));
  const out = [];
  for (const one of JSON.parse(fs.readFileSync(file)).cases) {
    engine.free();
    try {
      const run = new fastbias.Run(engine, one.plan, one.record), begin = performance.now();
      const status = run.go(one.steps), ms = performance.now() - begin, e = engine;
      const K = one.record.length, end = run.u, rows = e.doubles(run.at.rowsU, K * run.n), losses = e.doubles(run.at.rowsLoss, K);
      out.push({ name: one.name, status, done: run.done, ms, native: one.native.ms,
        same: { status: status === one.native.status && run.done === one.native.done, u: hex(end) === one.native.u,
          rows: hex(rows) === one.native.rows, losses: hex(losses) === one.native.losses },
        gap: Math.max(apart(end, numbers(one.native.u)), apart(rows, numbers(one.native.rows))),
        any: one["sums in any order"], burst: one.burst, weigh: one.weigh });
    } catch (error) { out.push({ name: one.name, error: String(error), same: {}, gap: Infinity }); }
  }
  console.log(JSON.stringify(out));
})();
