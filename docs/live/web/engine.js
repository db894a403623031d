// The compiled loop of fastbias in a page or in Node: memory, calls, and nothing else.
//
// A plan is what plans.py writes: names of pieces, their numbers, and memory at the start. `change`
// gives one with other data, start or numbers; `Run` lays it out and calls the loop, as a C program
// does: with the arguments of fastbias/running/capi.py, in their order.
"use strict";

const fastbias = (() => {
  const STATUS = ["OK", "NOT_FINITE", "OUT_OF_DOMAIN", "STALLED", "REACHED", "UNBOUNDED"];
  const VECTORS = ["loss", "model", "rule", "sample", "method", "geometry", "beta", "gamma"];
  const DONE = 0, ROW = 1;                       // entries of control that are read here

  class Engine {
    constructor(module, names) {
      this.module = module;
      this.names = names;
      this.start();
    }

    // From bytes and the names of the pieces, in the order of the module's table.
    static async from(bytes, names) {
      return new Engine(await WebAssembly.compile(bytes), names);
    }

    // A fresh instance: also what is left to do after a trap.
    start() {
      const instance = new WebAssembly.Instance(this.module, {});
      this.exports = instance.exports;
      const table = new Uint32Array(this.memory, this.exports.table.value, this.names.length);
      this.slots = new Map(this.names.map((name, i) => [name, table[i]]));
      this.base = (this.exports.__heap_base.value + 63) & ~63;
      this.free();
    }

    get memory() { return this.exports.memory.buffer; }

    // Forget all runs.
    free() { this.top = this.base; }

    // Room for so many numbers of eight bytes; memory may move, so views are made when needed.
    room(count) {
      const at = this.top;
      this.top = (at + 8 * count + 127) & ~63;
      const lacking = this.top - this.memory.byteLength;
      if (lacking > 0) this.exports.memory.grow(Math.ceil(lacking / 65536));
      new Uint8Array(this.memory, at, this.top - at).fill(0);
      return at;
    }

    doubles(at, count) { return new Float64Array(this.memory, at, count); }
    wholes(at, count) { return new BigInt64Array(this.memory, at, count); }

    put(numbers) {
      const at = this.room(numbers.length), view = this.doubles(at, numbers.length);
      for (let i = 0; i < numbers.length; i++) view[i] = Number(numbers[i]);
      return at;
    }

    putWholes(numbers) {
      const at = this.room(numbers.length);
      this.wholes(at, numbers.length).set(Array.from(numbers, (x) => BigInt(x)));
      return at;
    }
  }

  // A run of one plan, and the rows that it is to write down.
  class Run {
    constructor(engine, plan, record = []) {
      const [e, p] = [engine, plan];
      this.engine = e;
      this.plan = p;
      this.steps = Array.from(record);
      this.n = p.u.length;
      this.status = 0;
      const slots = p.pieces.map((name) => {
        if (!e.slots.has(name)) throw new Error(`the web build has no piece ${name}`);
        return e.slots.get(name);
      });
      const params = VECTORS.flatMap((name) => p.params[name]).concat(p.params.weights);
      const rows = p.state.length / this.n, K = this.steps.length;
      this.at = {
        pieces: e.putWholes(slots), params: e.put(params),
        sizes: e.putWholes(VECTORS.map((name) => p.params[name].length)),
        X: e.put(p.X), y: e.put(p.y), u: e.put(p.u), state: e.put(p.state),
        mark: e.room((rows + 1) * this.n), control: e.putWholes(p.control),
        order: e.putWholes(new Array(p.order).fill(-1)), work: e.room(p.work),
        packed: e.room(p.packed), kept: e.room(p.kept), steps: e.putWholes(this.steps),
        rowsU: e.room(K * this.n), rowsLoss: e.room(K),
      };
      const a = this.at, big = BigInt;
      this.arguments = [
        a.pieces, a.params, a.sizes, a.X, big(p.N), big(p.d), a.y, a.u, big(this.n), a.state,
        big(rows), a.mark, a.control, a.order, a.work, big(p.work), a.packed, a.kept, a.steps,
        a.rowsU, a.rowsLoss, big(K)];
    }

    // Do updates until so many are done in all, or log L is at or under `until`.
    go(stopAt, until = -Infinity) {
      try {
        this.status = Number(this.engine.exports.descend(...this.arguments, BigInt(stopAt), until));
      } catch (error) {
        this.engine.start();                     // what has trapped is in no state to go on
        throw new Error(`the compiled loop trapped: ${error.message}`);
      }
      if (this.status < 0) throw new Error(`argument ${-this.status} of the loop is bad`);
      return this.status;
    }

    get done() { return Number(this.engine.wholes(this.at.control, 2)[DONE]); }
    get u() { return this.engine.doubles(this.at.u, this.n).slice(); }
    get name() { return STATUS[this.status]; }

    // What was written down so far: steps, parameters (a row each) and log losses.
    get rows() {
      const K = Number(this.engine.wholes(this.at.control, 2)[ROW]);
      const flat = this.engine.doubles(this.at.rowsU, K * this.n).slice();
      return {
        t: this.steps.slice(0, K),
        u: Array.from({ length: K }, (_, i) => flat.subarray(i * this.n, (i + 1) * this.n)),
        logLoss: this.engine.doubles(this.at.rowsLoss, K).slice(),
      };
    }
  }

  // The plan with other X, y, u, or numbers of one of the pieces (rule, beta, geometry …).
  function change(plan, what) {
    const changed = { ...plan, params: { ...plan.params } };
    for (const [name, value] of Object.entries(what)) {
      const old = name in plan.params ? plan.params[name] : plan[name];
      const now = Array.from(value.flat ? value.flat(Infinity) : value);
      const free = ["rule", "beta", "gamma"].includes(name);    // one number a step, the last goes on
      if (!free && old.length !== now.length) {
        throw new Error(`${name} must have ${old.length} numbers, got ${now.length}`);
      }
      if (name in plan.params) changed.params[name] = now;
      else changed[name] = now;
    }
    return changed;
  }

  // Steps to write down: 0, the last, and some at even distances of log t.
  function spaced(last, count = 120) {
    const steps = new Set([0, last]);
    for (let i = 0; i < count; i++) steps.add(Math.floor(last ** (i / (count - 1)) + 1e-9));
    return [...steps].filter((t) => t <= last).sort((a, b) => a - b);
  }

  // One run from its start: memory is given back before the next.
  function run(engine, plan, steps, record = spaced(steps), until = -Infinity) {
    engine.free();
    const made = new Run(engine, plan, record);
    made.go(steps, until);
    return { ...made.rows, end: made.u, done: made.done, status: made.name };
  }

  return { Engine, Run, change, run, spaced };
})();

if (typeof module !== "undefined") module.exports = fastbias;
