/* What one core can do: the loops of seven methods, each written for nothing but speed, to hold fastbias against.
 *
 * Plain C with the vector extensions of GCC (12 and later) and Clang, so that a vector of eight doubles is whatever the
 * machine makes of it: one AVX-512 register, two of AVX2, four of NEON. L is the SUM over the samples, as in fastbias.
 *
 *   reference_new      copies the data into padded, aligned arrays, labels into the rows; w stands at the start
 *   NAME(p, eta, T)    does T further steps of a method on it; reference_read copies w out; reference_free ends it
 *   batch_exp          eight runs of gradient descent, one step size each, in the lanes of one vector
 *   stream             reads an array again and again: the roof under which each step that needs all of X must stay
 *
 * Steps are bound by three things: latency where N, d <= 4 (all in registers, `tiny`), arithmetic and L2 up to some 1e5
 * entries, and from there on the stream of X, which therefore is read once a step: a block of rows gives its margins,
 * these their weights, and the rows are added to the gradient while they are still in L1 (`pass`).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define LANES 8
typedef double v8 __attribute__((vector_size(64)));
typedef double u8 __attribute__((vector_size(64), aligned(8)));          /* the same, at any address */
typedef long long i8 __attribute__((vector_size(64)));
typedef double v4 __attribute__((vector_size(32)));
typedef long long i4 __attribute__((vector_size(32)));
#define ALL(x) ((x) - (v8){0})                                           /* a number in all lanes */
#define ALL4(x) ((x) - (v4){0})
#define PICK(V, I, mask, a, b) ((V)(((mask) & (I)(a)) | (~(mask) & (I)(b))))

/* e^x to 1 ulp, 0 under -708; x <= 709. x = k log 2 + r, |r| <= log(2)/2, and a polynomial that interpolates
 * (e^r - 1 - r)/r^2 at Chebyshev's nodes. Adding 1.5 * 2^52 rounds to k and leaves it in the low bits. */
#define DEFINE_EXP(name, V, I)                                                                      \
    INLINE V name(V x)                                                                              \
    {                                                                                               \
        V shifted = x * 0x1.71547652b82fep0 + 0x1.8p52, k = shifted - 0x1.8p52;                     \
        V r = x - k * 0x1.62e42fee00000p-1;                                                         \
        r -= k * 0x1.a39ef35793c76p-33;                                                             \
        I bits = ((I)shifted << 52) + (I)(0x1p0 - (V){0});                                          \
        V scale = (V)(bits & (I)(x > -708.0)), r2 = r * r, r4 = r2 * r2;                            \
        V a = 0x1.0000000000001p-1 + r * 0x1.5555555555556p-3;                                      \
        V b = 0x1.5555555553d63p-5 + r * 0x1.11111111109b3p-7;                                      \
        V c = 0x1.6c16c1788bd90p-10 + r * 0x1.a01a01a7c41d5p-13;                                    \
        V d = 0x1.a019b90d2ae7ap-16 + r * 0x1.71de0dae63bb3p-19;                                    \
        V e = 0x1.289185613a3d6p-22 + r * 0x1.af38a9b0ec855p-26;                                    \
        V top = (c + r2 * d) + r4 * e;                                                              \
        V u = r + r2 * ((a + r2 * b) + r4 * top);                                                   \
        return scale + scale * u;                                                                   \
    }
DEFINE_EXP(exp8, v8, i8)
DEFINE_EXP(exp4, v4, i4)

/* q^(-1/3), q > 0: a third of the exponent by its bits, then two steps of fourth order. */
INLINE double inverse_cube_root(double q)
{
    union { double x; unsigned long long bits; } guess = {q};
    guess.bits = 0x553EF0FF289DD796ull - guess.bits / 3;
    double y = guess.x;
    for (int k = 0; k < 2; k++) {
        double c = 1 - (q * y) * (y * y), c2 = c * c;
        y += y * ((1.0 / 3) * c + c2 * (2.0 / 9 + (14.0 / 81) * c));
    }
    return y;
}

/* Eight vectors to the vector of their sums, three levels of pairwise adding. */
#define HALVES(a, b) (__builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14) \
                      + __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15))
#define QUARTERS(a, b) (__builtin_shufflevector(a, b, 0, 1, 4, 5, 8, 9, 12, 13) \
                        + __builtin_shufflevector(a, b, 2, 3, 6, 7, 10, 11, 14, 15))
INLINE v8 sums(const v8 *a)
{
    v8 p = HALVES(a[0], a[1]), q = HALVES(a[2], a[3]), r = HALVES(a[4], a[5]), s = HALVES(a[6], a[7]);
    v8 t = QUARTERS(p, q), u = QUARTERS(r, s);
    return QUARTERS(t, u);
}

INLINE double sum(v8 a)
{
    v4 b = __builtin_shufflevector(a, a, 0, 1, 2, 3) + __builtin_shufflevector(a, a, 4, 5, 6, 7);
    return (b[0] + b[2]) + (b[1] + b[3]);
}

INLINE v8 larger(v8 a, v8 b) { return PICK(v8, i8, a > b, a, b); }
INLINE v4 larger4(v4 a, v4 b) { return PICK(v4, i4, a > b, a, b); }
INLINE double largest4(v4 a)
{
    v4 b = larger4(a, __builtin_shufflevector(a, a, 2, 3, 0, 1));
    return b[0] > b[1] ? b[0] : b[1];
}
INLINE double largest(v8 a)
{
    v8 b = larger(a, __builtin_shufflevector(a, a, 4, 5, 6, 7, 0, 1, 2, 3));
    return largest4(__builtin_shufflevector(b, b, 0, 1, 2, 3));
}

#define SPREAD(a, r) __builtin_shufflevector(a, a, r, r, r, r, r, r, r, r)
#define SPREAD4(a, r) __builtin_shufflevector(a, a, r, r, r, r)

/* ------------------------------------------------------------------------------------------------ the problem */

enum { EXPONENTIAL, LOGISTIC, SQUARED };
enum { GRADIENT, STEEPEST, ADAGRAD, MIRROR, COORDINATE };

typedef struct {
    long N, d, rows, cols;              /* rows, cols: N and d rounded up to whole vectors */
    int loss;
    double *X, *Xt, *K;                 /* (rows, cols), (cols, rows), (rows, rows); labels in the rows of X */
    double *offset;                     /* what margins are taken from: targets, or minus the shift; -1e5 on padding rows */
    double *w, *state, *g, *weights, *m, *alpha;
    double shift;                       /* weights of the exponential loss are in units of e^shift */
} problem;

static double *zeros(long n)
{
    double *p = aligned_alloc(64, 8 * n);
    return p ? memset(p, 0, 8 * n) : 0;
}

static void set_shift(problem *p, double shift)
{
    p->shift = shift;
    for (long n = 0; n < p->N; n++) p->offset[n] = -shift;
}

void reference_free(problem *p)
{
    double *all[] = {p->X, p->Xt, p->K, p->offset, p->w, p->state, p->g, p->weights, p->m, p->alpha};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    free(p);
}

/* X (N, d) row by row, y (N,): labels +-1, or targets for the squared loss; w (d,): where to start. */
problem *reference_new(long N, long d, const double *X, const double *y, const double *w, int loss)
{
    problem *p = calloc(1, sizeof *p);
    if (!p) return 0;
    p->N = N, p->d = d, p->loss = loss;
    p->rows = (N + LANES - 1) / LANES * LANES, p->cols = (d + LANES - 1) / LANES * LANES;
    p->X = zeros(p->rows * p->cols), p->Xt = zeros(p->cols * p->rows);
    p->offset = zeros(p->rows + LANES), p->weights = zeros(p->rows), p->m = zeros(p->rows), p->alpha = zeros(p->rows);
    p->w = zeros(p->cols), p->state = zeros(p->cols), p->g = zeros(p->cols);
    if (!p->X || !p->Xt || !p->offset || !p->weights || !p->m || !p->alpha || !p->w || !p->state || !p->g) {
        reference_free(p);
        return 0;
    }
    for (long n = 0; n < N; n++)
        for (long j = 0; j < d; j++) {
            double x = loss == SQUARED ? X[n * d + j] : y[n] * X[n * d + j];
            p->X[n * p->cols + j] = p->Xt[j * p->rows + n] = x;
            p->m[n] += x * w[j];
        }
    for (long n = 0; n < p->rows + LANES; n++) p->offset[n] = n >= N ? -1e5 : loss == SQUARED ? y[n] : 0;
    memcpy(p->w, w, 8 * d);
    for (long j = 0; j < p->cols; j++)                    /* mirror descent's z; e^-1e5 = 0 keeps the padding where it is */
        p->state[j] = loss != SQUARED ? 0 : j < d && w[j] > 0 ? log(w[j]) : -1e5;
    return p;
}

void reference_read(const problem *p, double *w) { memcpy(w, p->w, 8 * p->d); }

/* After a pass, the largest log weight: where it is far from 0, move the shift and say so; the pass is done again. A run
 * that has left the numbers goes on as it is. */
INLINE int recentre(problem *p, double top)
{
    if (__builtin_expect(top < 100 && top > -100, 1) || !isfinite(top)) return 0;
    set_shift(p, p->shift + top);
    return 1;
}

/* Minus the loss's derivative at z = offset - margin. */
INLINE v8 weigh(int loss, v8 z)
{
    if (loss == EXPONENTIAL) return exp8(z);
    if (loss == LOGISTIC) return (v8)((i8)(1.0 / (1.0 + exp8(-z))) & (i8)(z > -700.0));
    return 2 * z;
}

/* ------------------------------------------------------------------------------- one pass over X, any size */

/* g = X^T weights(X w), R rows at a time; NV: vectors a row, or 0 where only the run knows; g in registers if it fits.
 * Returns the largest z. */
INLINE double pass(problem *p, const int loss, const int R, const long NV)
{
    const long nv = NV ? NV : p->cols / LANES;
    const int keep = NV && NV <= 8;
    const v8 *w = (const v8 *)p->w;
    v8 *g = (v8 *)p->g, kept[8], top = ALL(-1e300);
    for (long v = 0; v < nv; v++)
        if (keep) kept[v] = ALL(0.0); else g[v] = ALL(0.0);
    for (long n = 0; n < p->rows; n += R) {
        const v8 *x = (const v8 *)(p->X + n * p->cols);
        v8 a[LANES];
        for (int r = 0; r < LANES; r++) a[r] = ALL(0.0);
        for (long v = 0; v < nv; v++)
#pragma GCC unroll 8
            for (int r = 0; r < R; r++) a[r] += w[v] * x[r * nv + v];
        v8 z = *(const u8 *)(p->offset + n) - sums(a);
        if (R == 4) z = __builtin_shufflevector(z, ALL(-1e5), 0, 1, 2, 3, 8, 9, 10, 11);
        if (loss == EXPONENTIAL) top = larger(z, top);
        v8 e = weigh(loss, z);
        v8 b[LANES] = {SPREAD(e, 0), SPREAD(e, 1), SPREAD(e, 2), SPREAD(e, 3),
                       SPREAD(e, 4), SPREAD(e, 5), SPREAD(e, 6), SPREAD(e, 7)};
        for (long v = 0; v < nv; v++) {
            v8 even = keep ? kept[v] : g[v], odd = b[1] * x[nv + v];                       /* two chains */
#pragma GCC unroll 8
            for (int r = 0; r < R; r += 2) even += b[r] * x[r * nv + v];
#pragma GCC unroll 8
            for (int r = 3; r < R; r += 2) odd += b[r] * x[r * nv + v];
            if (keep) kept[v] = even + odd; else g[v] = even + odd;
        }
    }
    if (keep)
        for (long v = 0; v < NV; v++) g[v] = kept[v];
    return loss == EXPONENTIAL ? largest(top) : 0;
}

/* w from g; `step` is eta in the units of g, e^shift. */
INLINE void update(problem *p, const int method, double eta, double unit)
{
    const long nv = p->cols / LANES;
    v8 *w = (v8 *)p->w, *g = (v8 *)p->g, *s = (v8 *)p->state;
    if (method == GRADIENT)
        for (long v = 0; v < nv; v++) w[v] += (eta * unit) * g[v];
    if (method == ADAGRAD)
        for (long v = 0; v < nv; v++) {
            v8 x = unit * g[v];
            s[v] += x * x;
            v8 root = s[v] + 1e-300;
            for (int i = 0; i < LANES; i++) root[i] = sqrt(root[i]);
            w[v] += eta * x / root;
        }
    if (method == MIRROR)
        for (long v = 0; v < nv; v++) {
            s[v] += eta * g[v];
            w[v] = exp8(s[v]);
        }
    if (method == STEEPEST) {                             /* l1.5, whose dual norm is l3: |g| g / ||g||_3 */
        v8 cubes = ALL(0.0);
        for (long v = 0; v < nv; v++) {
            v8 size = (v8)((i8)g[v] & 0x7FFFFFFFFFFFFFFFll);
            cubes += g[v] * g[v] * size;
        }
        double step = eta * unit * inverse_cube_root(sum(cubes) + 1e-300);
        for (long v = 0; v < nv; v++) {
            v8 size = (v8)((i8)g[v] & 0x7FFFFFFFFFFFFFFFll);
            w[v] += step * g[v] * size;
        }
    }
}

#define DRIVE(R, NV)                                                                                \
    for (long t = 0; t < T; t++) {                                                                  \
        while (recentre(p, pass(p, loss, R, NV))) unit = exp(p->shift);                             \
        update(p, method, eta, unit);                                                               \
    }                                                                                               \
    return

INLINE void drive(problem *p, const int loss, const int method, double eta, long T)
{
    double unit = exp(p->shift);
    switch (p->cols / LANES) {
        case 1: DRIVE(8, 1);
        case 2: DRIVE(8, 2);
        case 3: DRIVE(8, 3);
        case 4: DRIVE(8, 4);
        case 5: DRIVE(8, 5);
        case 6: DRIVE(8, 6);
        case 7: DRIVE(8, 7);
        case 8: DRIVE(8, 8);
        case 13: DRIVE(8, 13);
    }
    if (p->cols <= 400) { DRIVE(8, 0); }                  /* eight rows in half of L1 */
    DRIVE(4, 0);
}

/* ------------------------------------------------------------------------------- N, d <= 4: all in registers */

INLINE v4 sums4(v4 a, v4 b, v4 c, v4 d)
{
    v4 p = __builtin_shufflevector(a, b, 0, 4, 2, 6) + __builtin_shufflevector(a, b, 1, 5, 3, 7);
    v4 q = __builtin_shufflevector(c, d, 0, 4, 2, 6) + __builtin_shufflevector(c, d, 1, 5, 3, 7);
    return __builtin_shufflevector(p, q, 0, 1, 4, 5) + __builtin_shufflevector(p, q, 2, 3, 6, 7);
}

INLINE v4 weigh4(int loss, v4 z)
{
    if (loss == EXPONENTIAL) return exp4(z);
    if (loss == LOGISTIC) return (v4)((i4)(1.0 / (1.0 + exp4(-z))) & (i4)(z > -700.0));
    return 2 * z;
}

#define ROW4(n) (*(const v4 *)(p->X + (n) * LANES))

INLINE void tiny(problem *p, const int loss, const int method, double eta, long T)
{
    const v4 x0 = ROW4(0), x1 = ROW4(1), x2 = ROW4(2), x3 = ROW4(3);
    v4 w = *(v4 *)p->w, s = *(v4 *)p->state, offset = *(v4 *)p->offset;
    double unit = exp(p->shift);
    for (long t = 0; t < T; t++) {
        v4 z;
        for (;;) {
            z = offset - sums4(x0 * w, x1 * w, x2 * w, x3 * w);
            if (loss != EXPONENTIAL || !recentre(p, largest4(z))) break;
            offset = *(v4 *)p->offset;
            unit = exp(p->shift);
        }
        v4 e = weigh4(loss, z);
        v4 g = (SPREAD4(e, 0) * x0 + SPREAD4(e, 1) * x1) + (SPREAD4(e, 2) * x2 + SPREAD4(e, 3) * x3);
        v4 size = (v4)((i4)g & 0x7FFFFFFFFFFFFFFFll);
        if (method == GRADIENT) w += (eta * unit) * g;
        if (method == MIRROR) {
            s += eta * g;
            w = exp4(s);
        }
        if (method == ADAGRAD) {
            g *= unit;
            s += g * g;
            v4 root = s + 1e-300;
            for (int i = 0; i < 4; i++) root[i] = sqrt(root[i]);
            w += eta * g / root;
        }
        if (method == STEEPEST) {
            v4 square = g * size, cube = g * square;
            w += (eta * unit * inverse_cube_root((cube[0] + cube[2]) + (cube[1] + cube[3]) + 1e-300)) * square;
        }
        if (method == COORDINATE) {                       /* of several largest the first: the lane is in the last bits */
            v4 key = (v4)(((i4)size & ~3ll) | (i4){3, 2, 1, 0}), most = key;
            most = larger4(most, __builtin_shufflevector(most, most, 1, 0, 3, 2));
            most = larger4(most, __builtin_shufflevector(most, most, 2, 3, 0, 1));
            w += (eta * unit) * (v4)((i4)g & (i4)(key == most));
        }
    }
    *(v4 *)p->w = w, *(v4 *)p->state = s;
}


#define METHOD(name, loss, method)                                                                  \
    void name(problem *p, double eta, long T)                                                       \
    {                                                                                               \
        if (p->N <= 4 && p->d <= 4) tiny(p, loss, method, eta, T);                                  \
        else drive(p, loss, method, eta, T);                                                        \
    }
METHOD(gradient_exponential, EXPONENTIAL, GRADIENT)
METHOD(gradient_logistic, LOGISTIC, GRADIENT)
METHOD(gradient_squared, SQUARED, GRADIENT)
METHOD(steepest_exponential, EXPONENTIAL, STEEPEST)
METHOD(adagrad_exponential, EXPONENTIAL, ADAGRAD)
METHOD(mirror_squared, SQUARED, MIRROR)

/* ------------------------------------------------------------- coordinate descent, exponential loss: margins kept */

/* g = X^T weights, and the index of its largest entry, the first of several. */
INLINE long pull(problem *p, const long NV)
{
    const long nv = NV ? NV : p->cols / LANES;
    v8 *g = (v8 *)p->g, kept[8];
    for (long v = 0; v < nv; v++)
        if (NV) kept[v] = ALL(0.0); else g[v] = ALL(0.0);
    for (long n = 0; n < p->rows; n += LANES) {
        const v8 *x = (const v8 *)(p->X + n * p->cols);
        v8 b[LANES];
        for (int r = 0; r < LANES; r++) b[r] = ALL(p->weights[n + r]);
        for (long v = 0; v < nv; v++) {
            v8 sum = NV ? kept[v] : g[v];
#pragma GCC unroll 8
            for (int r = 0; r < LANES; r++) sum += b[r] * x[r * nv + v];
            if (NV) kept[v] = sum; else g[v] = sum;
        }
    }
    v8 most = ALL(-1.0);
    i8 where = {0}, here = {0, 1, 2, 3, 4, 5, 6, 7};
    for (long v = 0; v < nv; v++, here += LANES) {
        v8 x = NV ? kept[v] : g[v], size = (v8)((i8)x & 0x7FFFFFFFFFFFFFFFll);
        if (NV) g[v] = x;
        i8 more = (i8)(size > most);
        most = PICK(v8, i8, more, size, most);
        where = (more & here) | (~more & where);
    }
    double best = largest(most);
    i8 j = (i8)(most == best);
    j = (j & where) | (~j & 0x7FFFFFFF);
    long first = j[0];
    for (int i = 1; i < LANES; i++) first = j[i] < first ? j[i] : first;
    return first;
}

#define COORDINATES(NV)                                                                             \
    for (long t = 0; t < T; t++) {                                                                  \
        for (;;) {                                                                                  \
            v8 top = ALL(-1e300);                                                                   \
            for (long v = 0; v < p->rows / LANES; v++) {                                            \
                v8 z = ((v8 *)p->offset)[v] - ((v8 *)p->m)[v];                                      \
                top = larger(z, top);                                                               \
                ((v8 *)p->weights)[v] = exp8(z);                                                    \
            }                                                                                       \
            if (!recentre(p, largest(top))) break;                                                  \
            unit = exp(p->shift);                                                                   \
        }                                                                                           \
        long j = pull(p, NV);                                                                       \
        double move = eta * unit * p->g[j];                                                         \
        p->w[j] += move;                                                                            \
        for (long v = 0; v < p->rows / LANES; v++)                                                  \
            ((v8 *)p->m)[v] += move * ((v8 *)(p->Xt + j * p->rows))[v];                             \
    }                                                                                               \
    return

void coordinate_exponential(problem *p, double eta, long T)
{
    if (p->N <= 4 && p->d <= 4) { tiny(p, EXPONENTIAL, COORDINATE, eta, T); return; }
    double unit = exp(p->shift);
    switch (p->cols / LANES) {
        case 1: COORDINATES(1);
        case 2: COORDINATES(2);
        case 3: COORDINATES(3);
        case 4: COORDINATES(4);
        case 5: COORDINATES(5);
        case 6: COORDINATES(6);
        case 7: COORDINATES(7);
        case 8: COORDINATES(8);
    }
    COORDINATES(0);
}

/* ---------------------------- Gram space, for N <= d: the margins alone move, by K = X X^T; w = w(0) + X^T alpha at the end */

INLINE void gram(problem *p, const long NV, double eta, long T)
{
    const long nv = NV ? NV : p->rows / LANES;
    const v8 *K = (const v8 *)p->K, *offset = (const v8 *)p->offset;
    v8 *m = (v8 *)p->m, *alpha = (v8 *)p->alpha, *weights = (v8 *)p->weights;
    double step = eta * exp(p->shift);
    for (long t = 0; t < T; t++) {
        v8 top;
        int moved;
        do {
            top = ALL(-1e300);
            for (long v = 0; v < nv; v++) {
                v8 z = offset[v] - m[v];
                top = larger(z, top);
                weights[v] = exp8(z);
            }
            moved = recentre(p, largest(top));
            if (moved) step = eta * exp(p->shift);
        } while (moved);
        for (long v = 0; v < nv; v++) alpha[v] += step * weights[v];
        if (NV) {                                         /* all sums of K weights in registers, two chains each */
            v8 even[16], odd[16];
#pragma GCC unroll 16
            for (long v = 0; v < NV; v++) even[v] = odd[v] = ALL(0.0);
            for (long n = 0; n < NV * LANES; n += 2) {
                const v8 a = ALL(p->weights[n]), b = ALL(p->weights[n + 1]);
#pragma GCC unroll 16
                for (long v = 0; v < NV; v++) even[v] += a * K[n * NV + v];
#pragma GCC unroll 16
                for (long v = 0; v < NV; v++) odd[v] += b * K[(n + 1) * NV + v];
            }
#pragma GCC unroll 16
            for (long v = 0; v < NV; v++) m[v] += step * (even[v] + odd[v]);
        } else
            for (long n = 0; n < nv; n++) {
                v8 a[LANES];
                for (int r = 0; r < LANES; r++) a[r] = ALL(0.0);
                for (long v = 0; v < nv; v++)
#pragma GCC unroll 8
                    for (int r = 0; r < LANES; r++) a[r] += weights[v] * K[(n * LANES + r) * nv + v];
                m[n] += step * sums(a);
            }
    }
}

#define K4(n) (*(const v4 *)(p->K + (n) * LANES))
static void gram4(problem *p, double eta, long T)
{
    v4 m = *(v4 *)p->m, alpha = *(v4 *)p->alpha;
    while (T > 0) {
        const v4 step = ALL4(eta * exp(p->shift)), offset = *(v4 *)p->offset;
        const v4 k0 = step * K4(0), k1 = step * K4(1), k2 = step * K4(2), k3 = step * K4(3);
        for (; T > 0; T--) {
            v4 z = offset - m;
            if (recentre(p, largest4(z))) break;
            v4 e = exp4(z);
            alpha += step * e;
            m = (m + SPREAD4(e, 1) * k1 + SPREAD4(e, 0) * k0) + (SPREAD4(e, 2) * k2 + SPREAD4(e, 3) * k3);
        }
    }
    *(v4 *)p->m = m, *(v4 *)p->alpha = alpha;
}

/* Gradient descent on the exponential loss; K is made at the first call. */
void gram_exponential(problem *p, double eta, long T)
{
    if (!p->K) {
        if (!(p->K = zeros(p->rows * p->rows))) return;
        for (long i = 0; i < p->rows; i++)
            for (long n = 0; n <= i; n++) {
                v8 a = ALL(0.0);
                for (long v = 0; v < p->cols / LANES; v++)
                    a += ((v8 *)(p->X + i * p->cols))[v] * ((v8 *)(p->X + n * p->cols))[v];
                p->K[i * p->rows + n] = p->K[n * p->rows + i] = sum(a);
            }
    }
    memset(p->alpha, 0, 8 * p->rows);
    if (p->N <= 4) gram4(p, eta, T);
    else switch (p->rows / LANES) {
        case 1: gram(p, 1, eta, T); break;
        case 2: gram(p, 2, eta, T); break;
        case 3: gram(p, 3, eta, T); break;
        case 4: gram(p, 4, eta, T); break;
        case 5: gram(p, 5, eta, T); break;
        case 6: gram(p, 6, eta, T); break;
        case 7: gram(p, 7, eta, T); break;
        case 8: gram(p, 8, eta, T); break;
        case 13: gram(p, 13, eta, T); break;
        default: gram(p, 0, eta, T);
    }
    for (long n = 0; n < p->N; n++)
        for (long j = 0; j < p->d; j++) p->w[j] += p->alpha[n] * p->X[n * p->cols + j];
}

/* ----------------------------------------------- eight tiny runs in the lanes of one vector, one step size each */

INLINE void lanes(const problem *p, const int N, const int d, v8 eta, v8 *w, long T)
{
    for (long t = 0; t < T; t++) {
        v8 g[4];
        for (int j = 0; j < d; j++) g[j] = ALL(0.0);
        for (int n = 0; n < N; n++) {
            v8 z = ALL(0.0);
            for (int j = 0; j < d; j++) z -= p->X[n * LANES + j] * w[j];
            v8 e = exp8(z);
            for (int j = 0; j < d; j++) g[j] += p->X[n * LANES + j] * e;
        }
        for (int j = 0; j < d; j++) w[j] += eta * g[j];
    }
}

/* Gradient descent on the exponential loss, N, d <= 4, from w (8, d) with step sizes eta (8,); margins over -700. */
void batch_exponential(const problem *p, const double *eta, double *w, long T)
{
    v8 e, lane[4];
    for (int i = 0; i < LANES; i++) {
        e[i] = eta[i];
        for (int j = 0; j < p->d; j++) lane[j][i] = w[i * p->d + j];
    }
    if (p->N == 1 && p->d == 2) lanes(p, 1, 2, e, lane, T);
    else if (p->N == 4 && p->d == 3) lanes(p, 4, 3, e, lane, T);
    else lanes(p, p->N, p->d, e, lane, T);
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < p->d; j++) w[i * p->d + j] = lane[j][i];
}

/* --------------------------------------------------------- a network of rectified units, its values at the data */

/* One step of it on vectors of eight units, v = (a, c, b by inputs): nothing is added up across lanes but predictions. */
INLINE void rectified(const double *X, const double *y, v8 *v, long N, const long d, long vectors, double eta, double *q)
{
    for (long n = 0; n < N; n++) {
        v8 f[2] = {ALL(0.0), ALL(0.0)};
        for (long g = 0; g < vectors; g++) {
            v8 z = v[vectors + g];
            for (long j = 0; j < d; j++) z += X[n * d + j] * v[(2 + j) * vectors + g];
            f[g & 1] += v[g] * larger(z, ALL(0.0));
        }
        q[n] = -y[n] * sum(f[0] + f[1]);
    }
    for (long n = 0; n < N; n += LANES) {
        v8 p = exp8(*(u8 *)(q + n));
        for (long i = 0; i < LANES; i++) q[n + i] = n + i < N ? eta * y[n + i] * p[i] : 0.0;
    }
    for (long g = 0; g < vectors; g++) {
        v8 a = v[g], c = v[vectors + g], b[8], da = ALL(0.0), dc = ALL(0.0), db[8];
        for (long j = 0; j < d; j++) b[j] = v[(2 + j) * vectors + g], db[j] = ALL(0.0);
        for (long n = 0; n < N; n++) {
            v8 z = c;
            for (long j = 0; j < d; j++) z += X[n * d + j] * b[j];
            v8 on = PICK(v8, i8, z > 0.0, ALL(q[n]), ALL(0.0));
            da += on * z;
            dc += on;
            for (long j = 0; j < d; j++) db[j] += X[n * d + j] * on;
        }
        v[g] = a + da;
        v[vectors + g] = c + a * dc;
        for (long j = 0; j < d; j++) v[(2 + j) * vectors + g] = b[j] + a * db[j];
    }
}

/* Gradient descent on the exponential loss of f(x) = sum a_h [<b_h, x> + c_h]_+, labels y, from u = (a, b by units, c).
 * N <= 64, d <= 8; margins over -700. */
void relu_exponential(const double *X, const double *y, double *u, long N, long d, long k, double eta, long T)
{
    long vectors = (k + LANES - 1) / LANES;
    double *flat = zeros((d + 2) * vectors * LANES), q[72] = {0};
    for (long h = 0; h < k; h++) {
        flat[h] = u[h], flat[vectors * LANES + h] = u[k + k * d + h];
        for (long j = 0; j < d; j++) flat[(2 + j) * vectors * LANES + h] = u[k + h * d + j];
    }
    for (long t = 0; t < T; t++)
        switch (d) {
            case 1: rectified(X, y, (v8 *)flat, N, 1, vectors, eta, q); break;
            case 2: rectified(X, y, (v8 *)flat, N, 2, vectors, eta, q); break;
            case 3: rectified(X, y, (v8 *)flat, N, 3, vectors, eta, q); break;
            default: rectified(X, y, (v8 *)flat, N, d, vectors, eta, q);
        }
    for (long h = 0; h < k; h++) {
        u[h] = flat[h], u[k + k * d + h] = flat[vectors * LANES + h];
        for (long j = 0; j < d; j++) u[k + h * d + j] = flat[(2 + j) * vectors * LANES + h];
    }
    free(flat);
}

/* ------------------------------------------------------------------------------------------------ the roof */

/* The sum of x (n,), n rounded down to whole blocks, read `times` times. */
double stream(const double *x, long n, long times)
{
    v8 a[LANES];
    for (int r = 0; r < LANES; r++) a[r] = ALL(0.0);
    for (long t = 0; t < times; t++) {
        for (long i = 0; i + LANES * LANES <= n; i += LANES * LANES)
#pragma GCC unroll 8
            for (int r = 0; r < LANES; r++) a[r] += *(const u8 *)(x + i + LANES * r);
        __asm__ volatile("" ::: "memory");                /* each time anew */
    }
    return sum(sums(a));
}
