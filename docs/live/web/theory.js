// What theory says of the small problems on these pages, by closed forms and exact small solvers.
// Nothing here is certified, as `plan.limit()` of the package is; tests hold one against the other.
"use strict";

const theory = (() => {
  const dot = (a, b) => a.reduce((total, x, i) => total + x * b[i], 0);
  const scaled = (a, c) => a.map((x) => c * x);

  // Norms of the plane and of more entries: the norm, and the w of norm 1 with ⟨w, z⟩ largest.
  const norms = {
    l1: {
      of: (w) => w.reduce((total, x) => total + Math.abs(x), 0),
      best: (z) => {
        const sizes = z.map(Math.abs), first = sizes.indexOf(Math.max(...sizes));
        return z.map((x, i) => (i === first ? Math.sign(x) : 0));
      },
    },
    linf: { of: (w) => Math.max(...w.map(Math.abs)), best: (z) => z.map((x) => Math.sign(x) || 1) },
    lp: (p) => ({
      of: (w) => w.reduce((total, x) => total + Math.abs(x) ** p, 0) ** (1 / p),
      best: (z) => z.map((x) => Math.sign(x) * Math.abs(x) ** (1 / (p - 1))),
    }),
    // √(wᵀDw) of the plane, D = [[a, b], [b, c]]
    quadratic: ([a, b, c]) => ({
      of: ([x, y]) => Math.sqrt(a * x * x + 2 * b * x * y + c * y * y),
      best: ([x, y]) => [c * x - b * y, a * y - b * x],
    }),
  };
  norms.l2 = norms.lp(2);

  // max over ‖w‖ ≤ 1 of min_n ⟨w, z_n⟩ in the plane; null where no w has all ⟨w, z_n⟩ > 0.
  //
  // At the best w either one z is nearest, and w is the best for it alone; or two are, and w is
  // perpendicular to their difference; or w is a corner of the ball: so a few w are all there are.
  function maxMargin(Z, norm) {
    const tried = [[1, 0], [0, 1], [1, 1], [1, -1]];
    for (const [i, a] of Z.entries()) {
      tried.push(norm.best(a));
      for (const b of Z.slice(i + 1)) tried.push([a[1] - b[1], b[0] - a[0]]);
    }
    let found = null;
    for (const w of tried.flatMap((w) => [w, scaled(w, -1)])) {
      const size = norm.of(w);
      if (!(size > 0)) continue;
      const margin = Math.min(...Z.map((z) => dot(w, z))) / size;
      if (margin > 0 && !(found && found.margin >= margin)) {
        found = { w: scaled(w, 1 / size), margin };
      }
    }
    return found;
  }

  // A x = b for a small matrix, by elimination with the largest pivots; null where it is singular.
  function solve(A, b) {
    const rows = A.map((row, i) => [...row, b[i]]), n = rows.length;
    for (let k = 0; k < n; k++) {
      let best = k;
      for (let i = k; i < n; i++) if (Math.abs(rows[i][k]) > Math.abs(rows[best][k])) best = i;
      [rows[k], rows[best]] = [rows[best], rows[k]];
      if (!(Math.abs(rows[k][k]) > 0)) return null;
      for (let i = 0; i < n; i++) {
        if (i === k) continue;
        const c = rows[i][k] / rows[k][k];
        for (let j = k; j <= n; j++) rows[i][j] -= c * rows[k][j];
      }
    }
    return rows.map((row, i) => row[n] / row[i]);
  }

  // Potentials by their inverse link (∇ψ)⁻¹ and its slope, entry by entry, and by their own start.
  const potentials = {
    euclidean: { inverse: (z) => z, slope: () => 1, link: (w) => w },
    entropy: { inverse: Math.exp, slope: Math.exp, link: Math.log },
    hypentropy: (beta) => ({
      inverse: (z) => beta * Math.sinh(z), slope: (z) => beta * Math.cosh(z),
      link: (w) => Math.asinh(w / beta),
    }),
    cosh: {
      inverse: Math.asinh, slope: (z) => 1 / Math.hypot(1, z), link: Math.sinh,
    },
    power: (p) => ({
      inverse: (z) => Math.sign(z) * Math.abs(z) ** (1 / (p - 1)),
      slope: (z) => Math.max(Math.abs(z), 1e-300) ** (1 / (p - 1) - 1) / (p - 1),
      link: (w) => Math.sign(w) * Math.abs(w) ** (p - 1),
    }),
  };

  // The Bregman projection of w0 on {Xw = y}: w = (∇ψ)⁻¹(∇ψ(w0) + Xᵀν), by Newton's method on ν
  // with steps halved until the residual falls; null where it does not come to rest.
  function projection(X, y, potential, w0) {
    const z0 = w0.map(potential.link), N = X.length;
    const at = (nu) => z0.map((z, j) => z + nu.reduce((total, c, n) => total + c * X[n][j], 0));
    const left = (nu) => {
      const w = at(nu).map(potential.inverse);
      return X.map((row, n) => y[n] - dot(row, w));
    };
    const size = (r) => Math.hypot(...r);
    let nu = new Array(N).fill(0), r = left(nu);
    for (let k = 0; k < 500 && size(r) > 0; k++) {
      const slopes = at(nu).map(potential.slope);
      const J = X.map((a) => X.map((b) => a.reduce((t, x, j) => t + x * slopes[j] * b[j], 0)));
      // where all is flat or steep, as a power is at 0, the residual itself leads away from there
      const steepest = Math.max(...slopes);
      const step = (steepest > 1e-30 && steepest < 1e20 && solve(J, r)) || r;
      let c = 1, tried = null;
      for (; c > 1e-40; c /= 2) {
        tried = nu.map((x, n) => x + c * step[n]);
        if (size(left(tried)) < size(r)) break;
      }
      if (c <= 1e-40) break;                      // to the last digit, or stuck: the residual says
      nu = tried;
      r = left(nu);
    }
    return size(r) <= 1e-9 * (1 + size(y)) ? at(nu).map(potential.inverse) : null;
  }

  // max ⟨c, x⟩ over A x ≤ b, x ≥ 0, b ≥ 0, by the simplex method with Bland's rule; null if there is
  // no end to it. The dual solution comes along.
  function simplex(A, b, c) {
    const m = A.length, n = c.length, basis = A.map((_, i) => n + i);
    const T = A.map((row, i) => [...row, ...A.map((_, k) => (k === i ? 1 : 0)), b[i]]);
    const costs = [...scaled(c, -1), ...new Array(m + 1).fill(0)];
    for (;;) {
      const enters = costs.slice(0, n + m).findIndex((x) => x < -1e-11);
      if (enters < 0) break;
      let leaves = -1, least = Infinity;
      for (let i = 0; i < m; i++) {
        const ratio = T[i][enters] > 1e-11 ? T[i][n + m] / T[i][enters] : Infinity;
        if (ratio < least - 1e-13 || (ratio <= least + 1e-13 && leaves >= 0 && ratio < Infinity
            && basis[i] < basis[leaves])) [least, leaves] = [ratio, i];
      }
      if (leaves < 0) return null;
      T[leaves] = scaled(T[leaves], 1 / T[leaves][enters]);
      for (const row of [...T.filter((_, i) => i !== leaves), costs]) {
        const by = row[enters];
        if (by !== 0) row.forEach((x, j) => { row[j] = x - by * T[leaves][j]; });
      }
      basis[leaves] = enters;
    }
    const x = new Array(n).fill(0);
    basis.forEach((j, i) => { if (j < n) x[j] = T[i][n + m]; });
    return { x, dual: costs.slice(n, n + m), value: dot(c, x) };
  }

  // The ℓ1 maximum margin of rows Z, max min_n ⟨w, z_n⟩ over Σ|w_j| ≤ 1, as the value of a game; null
  // where nothing separates.
  function l1Margin(Z) {
    const games = Z.map((z) => [...z, ...scaled(z, -1)]);   // w = w₊ − w₋
    const up = 1 + Math.max(...games.flat().map(Math.abs)); // a shift makes every pay-off positive
    // the column player's 1/value = max Σ x over (M + up)ᵀ … ≤ 1; w are the dual's shares
    const A = games[0].map((_, j) => games.map((row) => row[j] + up));
    const found = simplex(A, A.map(() => 1), games.map(() => 1));
    const shares = scaled(found.dual, 1 / found.value), half = Z[0].length;
    const w = Z[0].map((_, j) => shares[j] - shares[half + j]);
    const margin = Math.min(...Z.map((z) => dot(w, z)));
    return margin > 0 ? { w, margin } : null;
  }

  // min ‖w‖₁ over Xw = y: its dual, max ⟨y, ν⟩ over |Xᵀν| ≤ 1, with ν = ν₊ − ν₋, is one for `simplex`.
  function leastL1(X, y) {
    const d = X[0].length, A = [];
    for (const sign of [1, -1]) {
      for (let j = 0; j < d; j++) {
        A.push([...X.map((row) => sign * row[j]), ...X.map((row) => -sign * row[j])]);
      }
    }
    const found = simplex(A, A.map(() => 1), [...y, ...scaled(y, -1)]);
    return found && X[0].map((_, j) => found.dual[j] - found.dual[d + j]);
  }

  // min ‖w‖₂ over Xw = y.
  const leastL2 = (X, y) => projection(X, y, potentials.euclidean, X[0].map(() => 0));

  return { dot, l1Margin, leastL1, leastL2, maxMargin, norms, potentials, projection, simplex,
    solve };
})();

if (typeof module !== "undefined") module.exports = theory;
