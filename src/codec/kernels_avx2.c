/* The kernels in AVX2 with FMA: four lanes. There is no 64-bit multiplication,
 * arithmetic shift, minimum or conversion to and from doubles: each is a few
 * instructions more. A value's bytes are brought to its lane by a shuffle within 16
 * bytes, so a vector is made of two loads of two values each. */
#include "codec/kernels_priv.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "base/bytes.h"

#define KERNEL __attribute__((target("avx2,fma,bmi,bmi2,lzcnt,popcnt")))
#define KERNEL_LANES 4

typedef __m256i vec;
typedef __m256d fvec;

#define LOAD(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define LOAD_PART(p, k) _mm256_maskload_epi64((const long long *)(const void *)(p), below(k))
#define STORE(p, v) _mm256_storeu_si256((__m256i *)(void *)(p), v)
#define SET(x) _mm256_set1_epi64x((int64_t)(x))
#define ADD(a, b) _mm256_add_epi64(a, b)
#define SUB(a, b) _mm256_sub_epi64(a, b)
#define MUL(a, b) multiply(a, b)
#define XOR(a, b) _mm256_xor_si256(a, b)
#define OR(a, b) _mm256_or_si256(a, b)
#define AND(a, b) _mm256_and_si256(a, b)
#define ANDNOT(a, b) _mm256_andnot_si256(a, b)
#define SHR1(a) _mm256_srli_epi64(a, 1)
#define SAR(a, n) shift_signed(a, n)
#define SIGN(a) _mm256_cmpgt_epi64(_mm256_setzero_si256(), a)
#define MIN(a, b) _mm256_blendv_epi8(a, b, _mm256_cmpgt_epi64(a, b))
#define MAX(a, b) _mm256_blendv_epi8(b, a, _mm256_cmpgt_epi64(a, b))
#define KEEP_PART(a, b, k) _mm256_blendv_epi8(b, a, below(k))
#define PREFIX(a) prefix(a)
#define LAST(a) _mm256_permute4x64_epi64(a, 0xff)
#define FOLD_OR(a) (lane(a, 0) | lane(a, 1) | lane(a, 2) | lane(a, 3))
#define FOLD_ADD(a) (lane(a, 0) + lane(a, 1) + lane(a, 2) + lane(a, 3))
#define FOLD_MIN(a) lane(fold_min(a), 0)
#define FOLD_MAX(a) lane(fold_max(a), 0)
#define F_SET(x) _mm256_set1_pd(x)
#define F_OF(v) _mm256_castsi256_pd(v)
#define F_BITS(f) _mm256_castpd_si256(f)
#define F_ADD(a, b) _mm256_add_pd(a, b)
#define F_MUL(a, b) _mm256_mul_pd(a, b)
#define F_FMA(a, b, c) _mm256_fmadd_pd(a, b, c)
#define F_FNMA(a, b, c) _mm256_fnmadd_pd(a, b, c)
#define F_ROUND(f) _mm256_round_pd(f, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define F_FROM(v) from_i64(v)
#define F_TO_I64(f) to_i64(f)
#define WIDTHS(p, v) widths_of(p, v)
#define ABOVE(p, n, b) above(p, n, b)
#define MISFIT(v, q, scaled) misfit(v, q, scaled)

#define lane(a, i) (uint64_t)_mm256_extract_epi64(a, i)

/* All ones in the lanes below k. */
KERNEL static inline vec below(size_t k)
{
    return _mm256_cmpgt_epi64(SET(k), _mm256_set_epi64x(3, 2, 1, 0));
}

KERNEL static inline vec multiply(vec a, vec b)
{
    vec cross = ADD(_mm256_mul_epu32(_mm256_srli_epi64(a, 32), b),
                    _mm256_mul_epu32(a, _mm256_srli_epi64(b, 32)));
    return ADD(_mm256_mul_epu32(a, b), _mm256_slli_epi64(cross, 32));
}

KERNEL static inline vec shift_signed(vec a, unsigned n)
{
    __m128i right = _mm_cvtsi32_si128((int)n), left = _mm_cvtsi32_si128(64 - (int)n);
    return OR(_mm256_srl_epi64(a, right), _mm256_sll_epi64(SIGN(a), left));
}

KERNEL static inline vec prefix(vec a)
{
    a = ADD(a, _mm256_slli_si256(a, 8)); /* within each half */
    vec low = _mm256_permute4x64_epi64(a, 0x50);
    return ADD(a, _mm256_blend_epi32(_mm256_setzero_si256(), low, 0xf0));
}

KERNEL static inline vec fold_min(vec a)
{
    a = MIN(a, _mm256_permute4x64_epi64(a, 0x4e));
    return MIN(a, _mm256_permute4x64_epi64(a, 0xb1));
}

KERNEL static inline vec fold_max(vec a)
{
    a = MAX(a, _mm256_permute4x64_epi64(a, 0x4e));
    return MAX(a, _mm256_permute4x64_epi64(a, 0xb1));
}

/* The halves of 32 bits as doubles of known exponents: 2^84 + 2^63 + high * 2^32 and
 * 2^52 + low. Taking the constants off is exact; the sum rounds once. */
KERNEL static inline fvec from_i64(vec v)
{
    vec high = _mm256_srli_epi64(v, 32);
    high = XOR(high, SET(0x4530000080000000));
    vec low = OR(_mm256_blend_epi32(_mm256_setzero_si256(), v, 0x55), SET(0x4330000000000000));
    fvec top = _mm256_sub_pd(F_OF(high), F_SET(0x1p84 + 0x1p63 + 0x1p52));
    return F_ADD(top, F_OF(low));
}

/* The same backwards, of whole doubles below 2^53 in size. */
KERNEL static inline vec to_i64(fvec f)
{
    fvec high = _mm256_floor_pd(F_MUL(f, F_SET(0x1p-32)));
    fvec low = F_FNMA(high, F_SET(0x1p32), f);
    vec h = F_BITS(F_ADD(high, F_SET(0x1.8p52))), l = F_BITS(F_ADD(low, F_SET(0x1p52)));
    return ADD(_mm256_slli_epi64(h, 32), AND(l, SET(0xffffffff)));
}

KERNEL static inline uint64_t misfit(vec v, vec q, fvec scaled)
{
    fvec size = _mm256_andnot_pd(F_SET(-0.0), scaled);
    fvec in = _mm256_cmp_pd(size, F_SET(KERNEL_DECIMAL_LIMIT), _CMP_LT_OQ);
    vec fits = AND(_mm256_cmpeq_epi64(v, q), F_BITS(in));
    return (uint64_t)(~_mm256_movemask_pd(F_OF(fits)) & 15);
}

KERNEL static inline void widths_of(uint8_t *widths, vec v)
{
    widths[0] = (uint8_t)(64 - _lzcnt_u64(lane(v, 0)));
    widths[1] = (uint8_t)(64 - _lzcnt_u64(lane(v, 1)));
    widths[2] = (uint8_t)(64 - _lzcnt_u64(lane(v, 2)));
    widths[3] = (uint8_t)(64 - _lzcnt_u64(lane(v, 3)));
}

KERNEL static inline size_t above(const uint8_t *widths, size_t n, unsigned bits)
{
    vec limit = _mm256_set1_epi8((char)bits);
    size_t more = 0;
    for (size_t i = 0; i < n; i += 32) {
        vec is_more = _mm256_cmpgt_epi8(LOAD(widths + i), limit);
        more += (size_t)_mm_popcnt_u32((unsigned)_mm256_movemask_epi8(is_more));
    }
    return more;
}

#include "codec/kernels_loops_priv.h"

/* Where two neighbouring values are in the 16 bytes from the first one's byte on. */
struct pair {
    size_t byte;
    __m128i shuffle;
    uint64_t shift[2];
};

KERNEL static inline struct pair pair_at(unsigned i, unsigned width)
{
    unsigned a = i * width, b = a + width;
    uint64_t second = (b >> 3) - (a >> 3);
    uint64_t bytes = 0x0706050403020100;
    return (struct pair){
        .byte = a >> 3,
        .shuffle = _mm_set_epi64x((int64_t)(bytes + second * 0x0101010101010101), (int64_t)bytes),
        .shift = {a & 7, b & 7},
    };
}

KERNEL static inline vec load_pairs(const uint8_t *a, const uint8_t *b)
{
    __m128i low = _mm_loadu_si128((const __m128i *)(const void *)a);
    __m128i high = _mm_loadu_si128((const __m128i *)(const void *)b);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

KERNEL static void unpack(uint64_t *r, const uint8_t *src, size_t n, unsigned width)
{
    if (width > 56) {
        kernel_unpack_wide(r, src, n, width);
        return;
    }
    struct pair p[4];
    for (unsigned i = 0; i < 4; i++) p[i] = pair_at(2 * i, width);
    vec mask = SET((1ull << width) - 1);
    vec shuffle0 = _mm256_set_m128i(p[1].shuffle, p[0].shuffle);
    vec shuffle1 = _mm256_set_m128i(p[3].shuffle, p[2].shuffle);
    vec shift0 = _mm256_set_epi64x((int64_t)p[1].shift[1], (int64_t)p[1].shift[0],
                                   (int64_t)p[0].shift[1], (int64_t)p[0].shift[0]);
    vec shift1 = _mm256_set_epi64x((int64_t)p[3].shift[1], (int64_t)p[3].shift[0],
                                   (int64_t)p[2].shift[1], (int64_t)p[2].shift[0]);

    for (size_t i = 0; i < n; i += 8, src += width) {
        vec a = load_pairs(src + p[0].byte, src + p[1].byte);
        vec b = load_pairs(src + p[2].byte, src + p[3].byte);
        a = _mm256_srlv_epi64(_mm256_shuffle_epi8(a, shuffle0), shift0);
        b = _mm256_srlv_epi64(_mm256_shuffle_epi8(b, shuffle1), shift1);
        STORE(r + i, AND(a, mask));
        STORE(r + i + 4, AND(b, mask));
    }
}

#define LOW_BITS(x, n) _bzhi_u64(x, (unsigned)(n))
#include "codec/kernels_classes_priv.h"

void kernel_class_fours_bmi2(struct class_run *run, uint64_t *v, size_t n)
{
    class_fours(run, v, n);
}

const struct kernels kernels_avx2 = KERNEL_SET("avx2", kernel_pack, kernel_class_fours_bmi2);

#endif
