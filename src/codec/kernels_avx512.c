/* The kernels in AVX-512 with VBMI: eight lanes. A group of eight values of width w
 * fills exactly w bytes, so it is one load, one byte permutation that brings each
 * value's bytes to its lane, one shift by lane, and one mask. */
#include "codec/kernels_priv.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "base/bytes.h"
#include "codec/bitio.h"

#define KERNEL                                                                                 \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi,fma,bmi,"    \
                          "bmi2,lzcnt,avx2,popcnt")))
#define KERNEL_LANES 8

typedef __m512i vec;
typedef __m512d fvec;

#define LOAD(p) _mm512_loadu_si512(p)
#define LOAD_PART(p, k) _mm512_maskz_loadu_epi64((__mmask8)((1u << (k)) - 1), p)
#define STORE(p, v) _mm512_storeu_si512(p, v)
#define SET(x) _mm512_set1_epi64((int64_t)(x))
#define ADD(a, b) _mm512_add_epi64(a, b)
#define SUB(a, b) _mm512_sub_epi64(a, b)
#define MUL(a, b) _mm512_mullo_epi64(a, b)
#define XOR(a, b) _mm512_xor_si512(a, b)
#define OR(a, b) _mm512_or_si512(a, b)
#define AND(a, b) _mm512_and_si512(a, b)
#define ANDNOT(a, b) _mm512_andnot_si512(a, b)
#define SHR1(a) _mm512_srli_epi64(a, 1)
#define SAR(a, n) _mm512_sra_epi64(a, _mm_cvtsi32_si128((int)(n)))
#define SIGN(a) _mm512_srai_epi64(a, 63)
#define MIN(a, b) _mm512_min_epi64(a, b)
#define MAX(a, b) _mm512_max_epi64(a, b)
#define KEEP_PART(a, b, k) _mm512_mask_mov_epi64(b, (__mmask8)((1u << (k)) - 1), a)
#define PREFIX(a) prefix(a)
#define LAST(a) _mm512_permutexvar_epi64(_mm512_set1_epi64(7), a)
#define FOLD_OR(a) (uint64_t)_mm512_reduce_or_epi64(a)
#define FOLD_ADD(a) (uint64_t)_mm512_reduce_add_epi64(a)
#define FOLD_MIN(a) _mm512_reduce_min_epi64(a)
#define FOLD_MAX(a) _mm512_reduce_max_epi64(a)
#define F_SET(x) _mm512_set1_pd(x)
#define F_OF(v) _mm512_castsi512_pd(v)
#define F_BITS(f) _mm512_castpd_si512(f)
#define F_ADD(a, b) _mm512_add_pd(a, b)
#define F_MUL(a, b) _mm512_mul_pd(a, b)
#define F_FMA(a, b, c) _mm512_fmadd_pd(a, b, c)
#define F_FNMA(a, b, c) _mm512_fnmadd_pd(a, b, c)
#define F_ROUND(f) _mm512_roundscale_pd(f, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define F_FROM(v) _mm512_cvtepi64_pd(v)
#define F_TO_I64(f) _mm512_cvtpd_epi64(f)
#define WIDTHS(p, v)                                                                           \
    _mm_storel_epi64((__m128i *)(void *)(p),                                                   \
                     _mm512_cvtepi64_epi8(SUB(SET(64), _mm512_lzcnt_epi64(v))))
#define ABOVE(p, n, b) above(p, n, b)
#define MISFIT(v, q, scaled) misfit(v, q, scaled)

KERNEL static inline vec prefix(vec a)
{
    vec zero = _mm512_setzero_si512();
    a = ADD(a, _mm512_alignr_epi64(a, zero, 7));
    a = ADD(a, _mm512_alignr_epi64(a, zero, 6));
    return ADD(a, _mm512_alignr_epi64(a, zero, 4));
}

KERNEL static inline uint64_t misfit(vec v, vec q, fvec scaled)
{
    fvec limit = F_SET(KERNEL_DECIMAL_LIMIT);
    __mmask8 in = _mm512_cmp_pd_mask(_mm512_abs_pd(scaled), limit, _CMP_LT_OQ);
    return (uint8_t)~_mm512_mask_cmpeq_epi64_mask(in, v, q);
}

KERNEL static inline size_t above(const uint8_t *widths, size_t n, unsigned bits)
{
    __m512i limit = _mm512_set1_epi8((char)bits);
    size_t more = 0;
    for (size_t i = 0; i < n; i += 64) {
        more += (size_t)_mm_popcnt_u64(_mm512_cmpgt_epu8_mask(LOAD(widths + i), limit));
    }
    return more;
}

#include "codec/kernels_loops_priv.h"

KERNEL static void unpack(uint64_t *r, const uint8_t *src, size_t n, unsigned width)
{
    if (width > 56) {
        kernel_unpack_wide(r, src, n, width);
        return;
    }
    /* Lane i's value begins at bit i * width of the group: byte and bit within it. */
    vec bit = MUL(_mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0), SET(width));
    vec byte = MUL(_mm512_srli_epi64(bit, 3), SET(0x0101010101010101));
    byte = ADD(byte, SET(0x0706050403020100));
    vec shift = AND(bit, SET(7)), mask = SET((1ull << width) - 1);

    for (size_t i = 0; i < n; i += 8, src += width) {
        vec group = _mm512_permutexvar_epi8(byte, LOAD(src));
        STORE(r + i, AND(_mm512_srlv_epi64(group, shift), mask));
    }
}

/* Values are gathered by narrowing the lanes and taking their low bits out of whole
 * words, eight, four or two at once; wide ones go one by one. Lanes past the end are 0. */
KERNEL static void pack(uint8_t *dst, const uint64_t *r, size_t n, unsigned width)
{
    if (width <= 8) {
        uint64_t low = 0x0101010101010101u * ((1u << width) - 1);
        for (size_t i = 0; i < n; i += 8, dst += width) {
            __m128i bytes = _mm512_cvtepi64_epi8(load_upto(r + i, n - i));
            store_u64(dst, _pext_u64((uint64_t)_mm_cvtsi128_si64(bytes), low));
        }
    } else if (width <= 16) {
        uint64_t low = 0x0001000100010001u * ((1ull << width) - 1);
        unsigned half = 4 * width; /* bits of four values, 36..64 */
        for (size_t i = 0; i < n; i += 8, dst += width) {
            __m128i words = _mm512_cvtepi64_epi16(load_upto(r + i, n - i));
            uint64_t a = _pext_u64((uint64_t)_mm_cvtsi128_si64(words), low);
            uint64_t b = _pext_u64((uint64_t)_mm_extract_epi64(words, 1), low);
            store_u64(dst, half < 64 ? a | b << half : a);
            store_u64(dst + 8, half < 64 ? b >> (64 - half) : b);
        }
    } else if (width <= 32) {
        uint64_t low = 0x0000000100000001u * ((1ull << width) - 1), pair[4];
        struct bit_writer w = {.dst = dst};
        for (size_t i = 0; i < n; i += 8) {
            __m256i pairs = _mm512_cvtepi64_epi32(load_upto(r + i, n - i));
            _mm256_storeu_si256((__m256i *)(void *)pair, pairs);
            for (size_t k = 0; k < 4 && i + 2 * k < n; k++) {
                bit_put(&w, _pext_u64(pair[k], low), 2 * width);
            }
        }
        store_u64(dst + w.len, w.bits);
    } else {
        kernel_pack(dst, r, n, width);
    }
}

const struct kernels kernels_avx512 = KERNEL_SET("avx512", pack, kernel_class_fours_bmi2);

#endif
