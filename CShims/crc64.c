// SPDX-License-Identifier: Apache-2.0
//
// CRC-64/NVME by carry-less multiplication, or by tables where the processor has none. The contract is in hf_checksum.h.
//
// Notation. A string of bits is a polynomial over GF(2), and P = x^64 + 0xAD93D23594C93659 (bit i is x^i) the generator. The
// register starts as all ones; a message of n bits takes it from c to (c·x^n + message·x^64) mod P; the checksum is its
// complement, so the complement of a checksum is the register again. The CRC is bit-reflected: bit 0 of a byte comes first and
// has the highest power. So in a 64-bit register bit i is x^(63-i), and in a block of two little-endian words bit i is
// x^(127-i): word 0, the first eight bytes, is the upper half. R(q) is the register that holds the polynomial q, which is q
// with its 64 bits reversed. A product of registers has one power too many: bits i and j, x^(63-i) and x^(63-j), meet in bit
// i+j, which in a block is x^(127-i-j). Multiplying R(p) by R(q) gives the block p·q·x.
//
// Folding is described by V. Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction" (Intel,
// 2009), slicing by M. E. Kounavis and F. L. Berry, "A Systematic Approach to Building High Performance, Software-based, CRC
// Generators" (ISCC 2005). Code and constants are our own; each constant stands beside the formula it was computed from.
#include "hf_checksum.h"

#include <stdatomic.h>
#include <string.h>

// MARK: Tables

/* slices[k][v] is what the byte v adds to the register when k more bytes of the same word follow it. It is linear in v, so the
 * eight bits of v span it. Bit j is x^(7-j), the k bytes after it move it up by 8·k, and the register always by 64:
 * slices[k][1 << j] = R(x^(64 + 8·k + 7 - j) mod P). A SLICE lists these for j = 0 … 7, so from the end of the first to the
 * start of the last, every row read backwards, stand x^64, x^65, … x^127 mod P. The compiler works out the other entries: no
 * work when the process starts, nothing to synchronise, 16 KiB of read-only memory that processes share. */
#define BIT(v, j, r) ((v) & (1 << (j)) ? (r) : 0)
#define ENTRY(v, r0, r1, r2, r3, r4, r5, r6, r7)                                             \
    (BIT(v, 0, r0) ^ BIT(v, 1, r1) ^ BIT(v, 2, r2) ^ BIT(v, 3, r3) ^                         \
     BIT(v, 4, r4) ^ BIT(v, 5, r5) ^ BIT(v, 6, r6) ^ BIT(v, 7, r7))
#define ENTRIES4(v, ...) ENTRY(v, __VA_ARGS__), ENTRY(v + 1, __VA_ARGS__), ENTRY(v + 2, __VA_ARGS__), ENTRY(v + 3, __VA_ARGS__)
#define ENTRIES16(v, ...) \
    ENTRIES4(v, __VA_ARGS__), ENTRIES4(v + 4, __VA_ARGS__), ENTRIES4(v + 8, __VA_ARGS__), ENTRIES4(v + 12, __VA_ARGS__)
#define ENTRIES64(v, ...) \
    ENTRIES16(v, __VA_ARGS__), ENTRIES16(v + 16, __VA_ARGS__), ENTRIES16(v + 32, __VA_ARGS__), ENTRIES16(v + 48, __VA_ARGS__)
#define SLICE(...) \
    {ENTRIES64(0, __VA_ARGS__), ENTRIES64(64, __VA_ARGS__), ENTRIES64(128, __VA_ARGS__), ENTRIES64(192, __VA_ARGS__)}

static const uint64_t slices[8][256] = {
    SLICE(0x7f6ef0c830358979, 0xfedde190606b12f2, 0xc962e5739841b68f, 0xa61cecb46814fe75,
          0x78e0ff3b88be6f81, 0xf1c1fe77117cdf02, 0xd75adabd7a6e2d6f, 0x9a6c9329ac4bc9b5),
    SLICE(0x8776a97d73bddf69, 0x3a3474a9bfec2db9, 0x7468e9537fd85b72, 0xe8d1d2a6ffb0b6e4,
          0xe57a831ea7f6fea3, 0xfe2c206e177a6e2d, 0xc881668f76634f31, 0xa5dbeb4db4510d09),
    SLICE(0xff6e4e1f4e4038be, 0xca05ba6dc417e217, 0xa0d25288d0b85745, 0x757d8342f9e73de1,
          0xeafb0685f3ce7bc2, 0xe12f2b58bf0b64ef, 0xf68770e226815ab5, 0xd9d7c79715952601),
    SLICE(0x8211147cbaf96306, 0x30fb0eaa2d655567, 0x61f61d545acaaace, 0xc3ec3aa8b595559c,
          0xb301530233bd3853, 0x52db80573fede3cd, 0xa5b700ae7fdbc79a, 0x7fb7270fa7201c5f),
    SLICE(0x373d15f784905d1e, 0x6e7a2bef0920ba3c, 0xdcf457de12417478, 0x8d3189ef7c157b9b,
          0x2eba358da0bd645d, 0x5d746b1b417ac8ba, 0xbae8d63682f59174, 0x41088a3e5d7cb183),
    SLICE(0xe9742a79ef04a5d4, 0xe63172a0869ed8c3, 0xf8bbc31255aa22ed, 0xc5aea077f3c3d6b1,
          0xbf8466bcbf103e09, 0x4bd1eb2a26b7ef79, 0x97a3d6544d6fdef2, 0x1b9e8afbc2482e8f),
    SLICE(0xfc5d27f6bf353971, 0xcc6369be26fde189, 0xac1ff52f156c5079, 0x6ce6cc0d724f3399,
          0xd9cd981ae49e6732, 0x8742166691ab5d0f, 0x3a5d0a9e7bc12975, 0x74ba153cf78252ea),
    SLICE(0x21e9761e252621ac, 0x43d2ec3c4a4c4358, 0x87a5d878949886b0, 0x3b9296a271a69e0b,
          0x77252d44e34d3c16, 0xee4a5a89c69a782c, 0xe84d9340d5a36333, 0xe44200d2f3d1550d),
};

uint64_t hf_crc64_nvme_table(uint64_t crc, const void *bytes, size_t count) {
    const uint8_t *next = bytes;
    crc = ~crc;
    for (; count >= 8; next += 8, count -= 8) {
        uint64_t word;
        memcpy(&word, next, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
#endif
        crc ^= word;
        crc = slices[7][crc & 255] ^ slices[6][crc >> 8 & 255] ^ slices[5][crc >> 16 & 255] ^ slices[4][crc >> 24 & 255] ^
              slices[3][crc >> 32 & 255] ^ slices[2][crc >> 40 & 255] ^ slices[1][crc >> 48 & 255] ^ slices[0][crc >> 56];
    }
    for (; count > 0; next += 1, count -= 1) crc = crc >> 8 ^ slices[0][(crc ^ *next) & 255];
    return ~crc;
}

// MARK: Carry-less multiplication

#if defined(__x86_64__)
#include <immintrin.h>
#define FOLDING __attribute__((target("pclmul")))
#define WIDE_FOLDING __attribute__((target("pclmul,avx512f,vpclmulqdq")))
#elif defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#include <arm_neon.h>
#define FOLDING __attribute__((target("+crypto"))) // PMULL of 64-bit words; older compilers know it by no finer name
#endif

#if defined(FOLDING)
typedef uint64_t block __attribute__((vector_size(16)));
typedef unsigned __int128 block_bits; // a block as one little-endian number, to shift it by whole bytes

/* The product of the words 0, and that of the words 1. */
#if defined(__x86_64__)
static inline FOLDING block multiply_0(block a, block b) {
    return (block)_mm_clmulepi64_si128((__m128i)a, (__m128i)b, 0x00);
}
static inline FOLDING block multiply_1(block a, block b) {
    return (block)_mm_clmulepi64_si128((__m128i)a, (__m128i)b, 0x11);
}
#else
static inline FOLDING block multiply_0(block a, block b) {
    return (block)vreinterpretq_u64_p128(vmull_p64(a[0], b[0]));
}
static inline FOLDING block multiply_1(block a, block b) {
    return (block)vreinterpretq_u64_p128(vmull_high_p64((poly64x2_t)a, (poly64x2_t)b));
}
#endif

/* A loop that must be unrolled for a[i] to live in registers. */
#define EACH(i, from, to) _Pragma("GCC unroll 8") for (int i = from; i < to; i += 1)

static inline block load_block(const uint8_t *bytes) {
    block block;
    memcpy(&block, bytes, sizeof block);
    return block;
}

/* Folding moves a block a1·x^64 + a0 up by d bits, onto the block that ends d bits later: a1·x^(d+64) + a0·x^d is congruent to
 * a1·(x^(d+63) mod P)·x + a0·(x^(d-1) mod P)·x, which fits a block. So fold_by_d = {R(x^(d+63) mod P), R(x^(d-1) mod P)}. */
static const block fold_by_128 = {0xeadc41fd2ba3d420, 0x21e9761e252621ac};  // x^191,  x^127
static const block fold_by_256 = {0xb0bc2e589204f500, 0xe1e0bb9d45d7a44c};  // x^319,  x^255
static const block fold_by_512 = {0x0c32cdb31e18a84a, 0x62242240ace5045a};  // x^575,  x^511
static const block fold_by_1024 = {0xa1ca681e733f9c40, 0x5f852fb61e8d92dc}; // x^1087, x^1023

static inline FOLDING block fold(block a, block by) {
    return multiply_0(a, by) ^ multiply_1(a, by);
}

/* Four consecutive blocks folded into the last of them. */
static inline FOLDING block join(block a, block b, block c, block d) {
    return d ^ fold(c, fold_by_128) ^ fold(b ^ fold(a, fold_by_128), fold_by_256);
}

/* The register a·x^64 mod P of a block a = a1·x^64 + a0.
 * First a1·x^128 ≡ a1·(x^127 mod P)·x, so that b = b1·x^64 + b0 ≡ a·x^64 is a block. Then Barrett's reduction: with
 * M = floor(x^128 / P), the quotient of b1·x^64 by P is q = floor(b1·M / x^64), and the remainder is the lower half of q·P.
 * M and P have 65 bits, but the x in every product makes room: b1·floor(M/x)·x is b1·M or b1·M - b1, with the same floor;
 * q·floor(P/x)·x is q·P - q, and q is added again. */
static inline FOLDING uint64_t reduce(block a) {
    const block power = {fold_by_128[1], 0};         // R(x^127 mod P)
    const block inverse = {0x27ecfa329aef9f77, 0};   // R(floor(M / x))
    const block generator = {0x34d926535897936b, 0}; // R(floor(P / x))
    const block b = multiply_0(a, power) ^ (block){a[1], 0};
    const block q = multiply_0(b, inverse);
    return b[1] ^ multiply_0(q, generator)[1] ^ q[0];
}

/* The checksum of a message of at least 16 bytes, folded into `a` up to `next`; few bytes are left. */
static inline FOLDING uint64_t finish(block a, const uint8_t *next, const uint8_t *end) {
    for (; end - next >= 16; next += 16) a = fold(a, fold_by_128) ^ load_block(next);
    if (next < end) {
        /* The first 1 … 15 bytes of `a`, as many as are left, become a block of their own, preceded by zeros. The others make
         * way for those left, cut out of the last 16 bytes of the message, so that nothing outside it is read. */
        const int bits = 8 * (int)(end - next);
        const block_bits folded = (block_bits)a, last = (block_bits)load_block(end - 16);
        a = fold((block)(folded << (128 - bits)), fold_by_128) ^
            (block)(folded >> bits | last >> (128 - bits) << (128 - bits));
    }
    return ~reduce(a);
}

/* A multiplication takes four cycles or more, but they overlap: eight blocks at a time, each folded 128 bytes ahead. */
static FOLDING uint64_t crc_by_folding(uint64_t crc, const void *bytes, size_t count) {
    if (count < 16) return hf_crc64_nvme_table(crc, bytes, count);
    const uint8_t *next = bytes, *const end = next + count;
    block a[8];
    a[0] = load_block(next) ^ (block){~crc, 0}; // adds the register c to the first 64 bits, for c·x^n
    if (count < 64) return finish(a[0], next + 16, end);
    EACH(i, 1, 4) a[i] = load_block(next + 16 * i);
    next += 64;
    if (count >= 128) {
        EACH(i, 4, 8) a[i] = load_block(next + 16 * (i - 4));
        for (next += 64; end - next >= 128; next += 128) {
            EACH(i, 0, 8) a[i] = fold(a[i], fold_by_1024) ^ load_block(next + 16 * i);
        }
        EACH(i, 0, 4) a[i] = fold(a[i], fold_by_512) ^ a[i + 4];
        if (end - next >= 64) {
            EACH(i, 0, 4) a[i] = fold(a[i], fold_by_512) ^ load_block(next + 16 * i);
            next += 64;
        }
    }
    return finish(join(a[0], a[1], a[2], a[3]), next, end);
}
#endif

#if defined(WIDE_FOLDING)
static inline WIDE_FOLDING __m512i fold_four(__m512i a, block by) {
    const __m512i all = _mm512_broadcast_i32x4((__m128i)by);
    return _mm512_clmulepi64_epi128(a, all, 0x00) ^ _mm512_clmulepi64_epi128(a, all, 0x11);
}

/* The same with four blocks in a register. Measured: four times as fast on long messages, no gain below 256 bytes. */
static WIDE_FOLDING uint64_t crc_by_wide_folding(uint64_t crc, const void *bytes, size_t count) {
    if (count < 256) return crc_by_folding(crc, bytes, count);
    const uint8_t *next = bytes, *const end = next + count;
    __m512i a = _mm512_loadu_si512(next) ^ _mm512_zextsi128_si512((__m128i)(block){~crc, 0});
    __m512i b = _mm512_loadu_si512(next + 64);
    for (next += 128; end - next >= 128; next += 128) {
        a = fold_four(a, fold_by_1024) ^ _mm512_loadu_si512(next);
        b = fold_four(b, fold_by_1024) ^ _mm512_loadu_si512(next + 64);
    }
    a = fold_four(a, fold_by_512) ^ b;
    if (end - next >= 64) {
        a = fold_four(a, fold_by_512) ^ _mm512_loadu_si512(next);
        next += 64;
    }
    block four[4];
    memcpy(four, &a, sizeof four);
    return finish(join(four[0], four[1], four[2], four[3]), next, end);
}
#endif

// MARK: Choice

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#if !defined(HWCAP_PMULL) // not every libc passes on <asm/hwcap.h>; the bit is the kernel's interface
#define HWCAP_PMULL (1 << 4)
#endif
#endif

typedef uint64_t crc_function(uint64_t crc, const void *bytes, size_t count);

static crc_function *fastest(void) {
#if defined(__x86_64__)
    __builtin_cpu_init(); // for callers that run before the compiler's own constructor
    if (__builtin_cpu_supports("pclmul")) {
        const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("vpclmulqdq");
        return wide ? crc_by_wide_folding : crc_by_folding;
    }
#elif defined(FOLDING) && defined(__APPLE__)
    return crc_by_folding; // every arm64 processor of theirs has it
#elif defined(FOLDING) && defined(__linux__)
    if (getauxval(AT_HWCAP) & HWCAP_PMULL) return crc_by_folding;
#endif
    return hf_crc64_nvme_table;
}

static crc_function choose;

/* Replaces itself at the first call. Threads that race here all store the same address, and it points at code that was there
 * from the start: no ordering is needed. */
static _Atomic(crc_function *) chosen = choose;

static uint64_t choose(uint64_t crc, const void *bytes, size_t count) {
    crc_function *const function = fastest();
    atomic_store_explicit(&chosen, function, memory_order_relaxed);
    return function(crc, bytes, count);
}

uint64_t hf_crc64_nvme(uint64_t crc, const void *bytes, size_t count) {
    return atomic_load_explicit(&chosen, memory_order_relaxed)(crc, bytes, count);
}

bool hf_crc64_nvme_is_accelerated(void) {
    return fastest() != hf_crc64_nvme_table;
}
