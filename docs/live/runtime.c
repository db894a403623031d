/* What compiled code asks of the world around it, where there is none: memory for the scratch of a
   few pieces, copies, and what Numba's helpers do. Nothing is imported.

   Structures are laid out as on a 64-bit machine, since the LLVM that calls this was written for
   one: a pointer takes eight bytes, of which the low four count. */
typedef unsigned char byte;
typedef unsigned long size_t;
typedef unsigned long long u64;
typedef long long i64;

void *memset(void *to, int c, size_t n)
{
    for (byte *p = to; n--; ) *p++ = (byte)c;
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    const byte *q = from;
    for (byte *p = to; n--; ) *p++ = *q++;
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    byte *p = to;
    const byte *q = from;
    if (p < q) while (n--) *p++ = *q++;
    else while (n--) p[n] = q[n];
    return to;
}

/* The product of two numbers of 128 bits, for checks that a product of two of 64 fits. */
static u64 high(u64 a, u64 b)
{
    u64 al = (unsigned)a, ah = a >> 32, bl = (unsigned)b, bh = b >> 32;
    u64 middle = ah * bl + (al * bl >> 32), low = (unsigned)middle + al * bh;
    return ah * bh + (middle >> 32) + (low >> 32);
}

unsigned __int128 __multi3(unsigned __int128 x, unsigned __int128 y)
{
    u64 a = (u64)x, b = (u64)y;
    return (unsigned __int128)(high(a, b) + (u64)(x >> 64) * b + a * (u64)(y >> 64)) << 64 | a * b;
}

double ldexp(double x, int n) { double scalbn(double, int); return scalbn(x, n); }
double numba_ldexp(double x, int n) { return ldexp(x, n); }

double numba_frexp(double x, int *exponent)
{
    double frexp(double, int *);
    /* (of infinity and NaN the exponent is 0, as Numba has it) */
    if (x - x != 0.0 || x == 0.0) { *exponent = 0; return x; }
    return frexp(x, exponent);
}

/* Scratch of an update: whoever takes gives back before it ends, so all is free when none is out. */
struct owner { i64 references; u64 destroy, about; u64 data; u64 size, allocator; };
static byte arena[1 << 21] __attribute__((aligned(64)));
static size_t taken;
static int out;

struct owner *NRT_MemInfo_alloc_aligned(u64 size, unsigned align)
{
    size_t begin = (taken + sizeof(struct owner) + 63) & ~(size_t)63;
    if (align > 64 || size > sizeof arena - begin) __builtin_trap();
    struct owner *mine = (struct owner *)(arena + ((taken + 7) & ~(size_t)7));
    if ((byte *)(mine + 1) > arena + begin) begin += 64;
    if (size > sizeof arena - begin) __builtin_trap();
    *mine = (struct owner){1, 0, 0, (u64)(size_t)(arena + begin), size, 0};
    taken = begin + size;
    out++;
    return mine;
}

void NRT_MemInfo_call_dtor(struct owner *whose)
{
    (void)whose;
    if (--out == 0) taken = 0;
}

/* Strides of an array that is read in another shape: of one that lies in order there always are. */
int numba_attempt_nocopy_reshape(i64 nd, const i64 *dims, const i64 *strides, i64 new_nd,
                                 const i64 *new_dims, i64 *new_strides, i64 item, int fortran)
{
    i64 next = item;
    for (i64 i = nd - 1; i >= 0; next *= dims[i--])
        if (dims[i] != 1 && strides[i] != next) return 0;
    if (fortran) return 0;
    next = item;
    for (i64 i = new_nd - 1; i >= 0; next *= new_dims[i--]) new_strides[i] = next;
    return 1;
}
