// node theory.js CASES.json: what docs/live/web/theory.js says of each case, as JSON.
"use strict";
const fs = require("fs"), path = require("path");
const theory = require(path.join(__dirname, "..", "..", "docs", "live", "web", "theory.js"));

const named = (table, [name, parameter]) => (parameter === null ? table[name] : table[name](parameter));
const solvers = {
  margin: (c) => theory.maxMargin(c.Z, named(theory.norms, c.norm)),
  game: (c) => theory.l1Margin(c.Z),
  projection: (c) => theory.projection(c.X, c.y, named(theory.potentials, c.potential), c.w0),
  l1: (c) => theory.leastL1(c.X, c.y),
  l2: (c) => theory.leastL2(c.X, c.y),
};
console.log(JSON.stringify(JSON.parse(fs.readFileSync(process.argv[2])).map((c) => solvers[c.kind](c))));
