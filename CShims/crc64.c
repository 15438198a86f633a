/* CRC-64/NVME by carry-less multiplication, or by tables where the processor has none. Contract: hf_checksum.h.
 *
 * Notation. A string of bits is a polynomial over GF(2); P = x^64 + 0xAD93D23594C93659 (bit i is x^i) is the generator.
 * The CRC is bit-reflected: the first bit of the message, bit 0 of its first byte, has the highest power. So in a 64-bit
 * register bit i stands for x^(63-i), and in a 128-bit block (two little-endian words) bit i stands for x^(127-i): word 0,
 * the first eight bytes, is the upper half. Below, R(q) is the register that holds the polynomial q, i.e. q with its 64
 * bits reversed. A product of two registers comes out one power too high: multiply(R(a), R(b)) is the block a·b·x, because
 * bits i and j meet in bit i+j: x^(63-i) · x^(63-j) = x^(126-i-j), but that bit of a block stands for x^(127-i-j).
 *
 * Folding is described by V. Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction"
 * (Intel, 2009), and slicing by M. Kounavis and F. Berry, "A Systematic Approach to Building High Performance
 * Software-Based CRC Generators" (ISCC 2005). The code and its constants are our own, derived where they stand.
 */
#include "hf_checksum.h"

#include <stdatomic.h>
#include <string.h>

static inline uint64_t load_word(const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

// MARK: Tables

/* slices[k][b] is what the byte b adds to the register when k more bytes follow it in the same word. It is linear in b, so
 * the eight bits of b span it: bit j of b stands for x^(7-j), and is moved up by 64 (a CRC is a remainder of the message
 * times x^64) and by 8·k, so slices[k][1 << j] = R(x^(64 + 8·k + 7 - j) mod P). Rows are given in the order j = 0 … 7;
 * read from the end of each row, they are the remainders of x^64, x^65, … x^127, each the one before times x. The compiler
 * spells out the rest: no start-up work, nothing to synchronise, 16 KiB of shared read-only memory. */
#define BIT(b, j, r) ((b) & (1 << (j)) ? (r) : 0)
#define ENTRY(b, r0, r1, r2, r3, r4, r5, r6, r7)                                             \
    (BIT(b, 0, r0) ^ BIT(b, 1, r1) ^ BIT(b, 2, r2) ^ BIT(b, 3, r3) ^                         \
     BIT(b, 4, r4) ^ BIT(b, 5, r5) ^ BIT(b, 6, r6) ^ BIT(b, 7, r7))
#define ENTRIES4(b, ...) ENTRY(b, __VA_ARGS__), ENTRY(b + 1, __VA_ARGS__), ENTRY(b + 2, __VA_ARGS__), ENTRY(b + 3, __VA_ARGS__)
#define ENTRIES16(b, ...) \
    ENTRIES4(b, __VA_ARGS__), ENTRIES4(b + 4, __VA_ARGS__), ENTRIES4(b + 8, __VA_ARGS__), ENTRIES4(b + 12, __VA_ARGS__)
#define ENTRIES64(b, ...) \
    ENTRIES16(b, __VA_ARGS__), ENTRIES16(b + 16, __VA_ARGS__), ENTRIES16(b + 32, __VA_ARGS__), ENTRIES16(b + 48, __VA_ARGS__)
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
        crc ^= load_word(next);
        crc = slices[7][crc & 255] ^ slices[6][crc >> 8 & 255] ^ slices[5][crc >> 16 & 255] ^ slices[4][crc >> 24 & 255] ^
              slices[3][crc >> 32 & 255] ^ slices[2][crc >> 40 & 255] ^ slices[1][crc >> 48 & 255] ^ slices[0][crc >> 56];
    }
    for (; count > 0; next += 1, count -= 1) crc = crc >> 8 ^ slices[0][(crc ^ *next) & 255];
    return ~crc;
}

// MARK: Carry-less multiplication

typedef uint64_t (*crc_function)(uint64_t crc, const void *bytes, size_t count);

#if defined(__x86_64__) || (defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
#define HAS_FOLDING 1

typedef uint64_t block __attribute__((vector_size(16)));
typedef unsigned __int128 wide_word; // a block as one number, for shifts by whole bytes

#if defined(__x86_64__)
#include <immintrin.h>
#define FOLDING __attribute__((target("pclmul")))

static inline FOLDING block multiply_words_0(block a, block b) {
    return (block)_mm_clmulepi64_si128((__m128i)a, (__m128i)b, 0x00);
}
static inline FOLDING block multiply_words_1(block a, block b) {
    return (block)_mm_clmulepi64_si128((__m128i)a, (__m128i)b, 0x11);
}
#else
#include <arm_neon.h>
#define FOLDING __attribute__((target("+aes"))) // PMULL on 64-bit words came with AES, and is enabled with it

static inline FOLDING block multiply_words_0(block a, block b) {
    return (block)vreinterpretq_u64_p128(vmull_p64(a[0], b[0]));
}
static inline FOLDING block multiply_words_1(block a, block b) {
    return (block)vreinterpretq_u64_p128(vmull_high_p64((poly64x2_t)a, (poly64x2_t)b));
}
#endif

static inline block load_block(const uint8_t *bytes) {
    block block;
    memcpy(&block, bytes, sizeof block);
    return block;
}

/* To move a block a·x^64 + b up by d bits is to replace it with the block of a·x^(64+d) + b·x^d, or anything congruent to
 * that modulo P. The product brings one x along: */
#define FOLD_BY(d, word_0, word_1) static const block fold_by_##d = {word_0, word_1}
FOLD_BY(128, 0xeadc41fd2ba3d420, 0x21e9761e252621ac);  // R(x^191 mod P), R(x^127 mod P): R(x^(d+63)), R(x^(d-1)) throughout
FOLD_BY(256, 0xb0bc2e589204f500, 0xe1e0bb9d45d7a44c);  // 319, 255
FOLD_BY(512, 0x0c32cdb31e18a84a, 0x62242240ace5045a);  // 575, 511
FOLD_BY(1024, 0xa1ca681e733f9c40, 0x5f852fb61e8d92dc); // 1087, 1023

static inline FOLDING block fold(block a, block by) {
    return multiply_words_0(a, by) ^ multiply_words_1(a, by);
}

/* The register c = a·x^64 mod P, for a block a = a1·x^64 + a0.
 * First a1·x^128 becomes a1·R(x^127), so that b = b1·x^64 + b0 ≡ a·x^64. Then Barrett: with m = floor(x^128 / P), of degree
 * 64, the quotient of b1·x^64 by P is q = floor(b1·m / x^64), and the remainder is b1·x^64 - q·P, all in its lower half.
 * m and P have 65 bits, but a product brings an x along: times floor(m/x) it is b1·m without b1·(m mod x), which does not
 * reach x^64; times floor(P/x) it is q·P without q·1, which is added back. */
static inline FOLDING uint64_t reduce(block a) {
    static const block quotient = {0x27ecfa329aef9f77, 0}; // R(floor(floor(x^128 / P) / x))
    static const block generator = {0x34d926535897936b, 0}; // R(floor(P / x))
    const block power = {fold_by_128[1], 0};
    block b = multiply_words_0(a, power) ^ (block){a[1], 0};
    block q = multiply_words_0(b, quotient);
    block product = multiply_words_0(q, generator);
    return b[1] ^ product[1] ^ q[0];
}

static FOLDING uint64_t crc_by_folding(uint64_t crc, const void *bytes, size_t count) {
    if (count < 16) return hf_crc64_nvme_table(crc, bytes, count);
    const uint8_t *next = bytes, *end = next + count;
    block a;
    block start = {~crc, 0}; // the register so far is added to the first eight bytes
    if (count >= 128) {
        block b = load_block(next + 16), c = load_block(next + 32), d = load_block(next + 48), e = load_block(next + 64),
              f = load_block(next + 80), g = load_block(next + 96), h = load_block(next + 112);
        a = load_block(next) ^ start;
        for (next += 128; end - next >= 128; next += 128) {
            a = fold(a, fold_by_1024) ^ load_block(next);
            b = fold(b, fold_by_1024) ^ load_block(next + 16);
            c = fold(c, fold_by_1024) ^ load_block(next + 32);
            d = fold(d, fold_by_1024) ^ load_block(next + 48);
            e = fold(e, fold_by_1024) ^ load_block(next + 64);
            f = fold(f, fold_by_1024) ^ load_block(next + 80);
            g = fold(g, fold_by_1024) ^ load_block(next + 96);
            h = fold(h, fold_by_1024) ^ load_block(next + 112);
        }
        e ^= fold(a, fold_by_512), f ^= fold(b, fold_by_512), g ^= fold(c, fold_by_512), h ^= fold(d, fold_by_512);
        a = h ^ fold(g, fold_by_128) ^ fold(f ^ fold(e, fold_by_128), fold_by_256);
    } else {
        a = load_block(next) ^ start;
        next += 16;
    }
    for (; end - next >= 16; next += 16) a = fold(a, fold_by_128) ^ load_block(next);
    if (next < end) {
        unsigned rest = 8 * (unsigned)(end - next), keep = 128 - rest;
        wide_word whole = (wide_word)a, last = (wide_word)load_block(end - 16);
        a = fold((block)(whole << keep), fold_by_128) ^ (block)(whole >> rest | last >> keep << keep);
    }
    return ~reduce(a);
}
#endif

static crc_function choose(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("pclmul")) return crc_by_folding;
#endif
    return hf_crc64_nvme_table;
}
static uint64_t choose_and_run(uint64_t crc, const void *bytes, size_t count);
static _Atomic(crc_function) chosen = choose_and_run;
static uint64_t choose_and_run(uint64_t crc, const void *bytes, size_t count) {
    crc_function function = choose();
    atomic_store_explicit(&chosen, function, memory_order_relaxed);
    return function(crc, bytes, count);
}
uint64_t hf_crc64_nvme(uint64_t crc, const void *bytes, size_t count) {
    return atomic_load_explicit(&chosen, memory_order_relaxed)(crc, bytes, count);
}
bool hf_crc64_nvme_is_accelerated(void) { return choose() != hf_crc64_nvme_table; }
