/* The mathematical functions of the web module: those of the C library that comes with the linker,
   and cos, which that has left to its compiler. With LIVE they have names of their own, for `libm.so`:
   all else in it is hidden, or the process that loads it would put its own functions there. */
double cos(double x)
{
    int __rem_pio2(double, double *);
    double __cos(double, double), __sin(double, double, int), y[2];
    if (__builtin_fabs(x) <= 0.7853981633974483) return __cos(x, 0.0);
    if (x - x != 0.0) return x - x;
    int quarter = __rem_pio2(x, y) & 3;
    double value = quarter & 1 ? __sin(y[0], y[1], 1) : __cos(y[0], y[1]);
    return quarter == 1 || quarter == 2 ? -value : value;
}

double floor(double x) { return __builtin_floor(x); }
double fabs(double x) { return __builtin_fabs(x); }
double sqrt(double x) { return __builtin_sqrt(x); }

#ifdef LIVE
#define OPEN __attribute__((visibility("default")))
#define OF_ONE(f) OPEN double live_##f(double x) { double f(double); return f(x); }
#define OF_TWO(f) OPEN double live_##f(double x, double y) { double f(double, double); return f(x, y); }
OF_ONE(exp) OF_ONE(exp2) OF_ONE(expm1) OF_ONE(log) OF_ONE(log1p) OF_ONE(sinh) OF_ONE(cosh)
OF_ONE(asinh) OF_ONE(erfc) OF_ONE(cos) OF_TWO(pow) OF_TWO(hypot)
#endif
