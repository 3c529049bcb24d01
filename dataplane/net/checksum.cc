#include "dataplane/net/checksum.h"

#include <cstring>
#include <immintrin.h>

namespace penstock {
namespace {

template <class T>
T load(const std::byte* at) {
  T v;
  std::memcpy(&v, at, sizeof v);
  return v;
}

__m256i load_256(const std::byte* at) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
}

// 32-bit words, widened to 64 bits so that no carry is lost: 48 GB/s, where the plain loop that
// g++ vectorizes itself gives 26 (bench/micro/net_bench).
uint64_t sum_blocks(const std::byte* p, const std::byte* end) {
  const __m256i zero = _mm256_setzero_si256();
  __m256i a = zero;
  __m256i b = zero;
  __m256i c = zero;
  __m256i d = zero;
  for (; p != end; p += 64) {
    const __m256i v = load_256(p);
    const __m256i w = load_256(p + 32);
    a = _mm256_add_epi64(a, _mm256_unpacklo_epi32(v, zero));
    b = _mm256_add_epi64(b, _mm256_unpackhi_epi32(v, zero));
    c = _mm256_add_epi64(c, _mm256_unpacklo_epi32(w, zero));
    d = _mm256_add_epi64(d, _mm256_unpackhi_epi32(w, zero));
  }
  a = _mm256_add_epi64(_mm256_add_epi64(a, b), _mm256_add_epi64(c, d));
  const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  return static_cast<uint64_t>(_mm_extract_epi64(half, 0)) +
         static_cast<uint64_t>(_mm_extract_epi64(half, 1));
}

}  // namespace

// The words are summed as this machine reads them; swapping the bytes of the sum at the end gives
// the sum of the swapped words (RFC 1071, 2B).
uint16_t ones_sum(std::span<const std::byte> bytes) {
  const std::byte* p = bytes.data();
  const std::byte* end = p + bytes.size();
  const std::byte* blocks = p + (bytes.size() & ~size_t{63});
  uint64_t sum = p == blocks ? 0 : sum_blocks(p, blocks);
  for (p = blocks; end - p >= 4; p += 4) {
    sum += load<uint32_t>(p);
  }
  if (end - p >= 2) {
    sum += load<uint16_t>(p);
    p += 2;
  }
  if (p != end) sum += load<uint8_t>(p);
  return __builtin_bswap16(fold(sum));
}

}  // namespace penstock
