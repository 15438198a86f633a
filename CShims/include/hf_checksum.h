/*
 * CRC-64/NVME: the checksum of every frame and every lock record.
 *
 * Why in C: the fast path is carry-less multiplication, whose intrinsics Swift does not import.
 *
 * The function is the one of the NVM Express NVM Command Set specification, section 5.2.1.3.4 ("64b CRC"), also known as
 * CRC-64/Rocksoft: polynomial 0xAD93D23594C93659, bits reflected (0x9A6C9329AC4BC9B5), register started with and finally
 * inverted by all ones. The checksum of the nine bytes "123456789" is 0xAE8B14860A799888. It detects every error confined
 * to 64 consecutive bits; it does not authenticate: anyone can forge it.
 *
 * All three calls are thread-safe and async-signal-safe, take no lock, allocate nothing and leave errno alone.
 */
#ifndef HF_CHECKSUM_H
#define HF_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if !defined(__clang__) && !defined(_Nullable)
#define _Nullable /* a clang word; it makes the pointer an Optional in Swift */
#endif

/// The CRC-64/NVME of `count` bytes, by the fastest way this processor has.
///
/// Streaming: start with `crc` 0, then pass the previous result; how the bytes are split does not change the outcome.
/// Reads exactly `bytes ..< bytes + count`, at any alignment; `bytes` may be null when `count` is 0.
///
/// Cost on the development machine (Zen 4): see the table in crc64.c.
uint64_t hf_crc64_nvme(uint64_t crc, const void *_Nullable bytes, size_t count);

/// The same value from lookup tables alone (16 KiB, read-only), on every processor.
///
/// Why: the path of processors without carry-less multiply, and the peer the fast path is tested against.
uint64_t hf_crc64_nvme_table(uint64_t crc, const void *_Nullable bytes, size_t count);

/// Whether `hf_crc64_nvme` uses carry-less multiplication here (PCLMULQDQ or PMULL); the same answer for the life of the process.
bool hf_crc64_nvme_is_accelerated(void);

#endif
