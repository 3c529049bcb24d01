#include "dataplane/wire/crc32c.h"

#include <array>
#include <cassert>
#include <climits>
#include <isa-l/crc.h>
#include <nmmintrin.h>
#include <wmmintrin.h>

#include "dataplane/wire/bytes.h"
#include "dataplane/wire/hop_header.h"

namespace penstock {
namespace {

// ISA-L's function works on the register itself: not inverted, neither on the way in nor out.
uint32_t update(uint32_t raw, std::span<const std::byte> bytes) {
  assert(bytes.size() <= INT_MAX);
  const auto* p = reinterpret_cast<const unsigned char*>(bytes.data());
  return crc32_iscsi(const_cast<unsigned char*>(p), static_cast<int>(bytes.size()), raw);
}

// Polynomials modulo that of CRC32C, reflected: the highest bit is x^0, the lowest x^31.
constexpr uint32_t kOne = 0x80000000;
constexpr uint32_t kPolynomial = 0x82f63b78;

constexpr uint32_t times_x(uint32_t a) {
  return (a >> 1) ^ ((a & 1) != 0 ? kPolynomial : 0);
}
constexpr uint32_t over_x(uint32_t a) {
  return (a & kOne) != 0 ? ((a ^ kPolynomial) << 1) | 1 : a << 1;
}
constexpr uint32_t times(uint32_t a, uint32_t b) {
  uint32_t sum = 0;
  for (; b != 0; b <<= 1, a = times_x(a))
    if ((b & kOne) != 0) sum ^= a;
  return sum;
}

// For 2^k bytes, x^(8 * 2^k - 33). The product of two reflected factors lies one bit too low in its
// 64, and the CRC instruction multiplies what it is given by x^32: together that is x^33.
constexpr std::array<uint32_t, 64> shifts() {
  std::array<uint32_t, 64> out{};
  uint32_t power = kOne;
  for (int i = 0; i < 8; i++)
    power = times_x(power);
  for (uint32_t& s : out) {
    s = power;
    for (int i = 0; i < 33; i++)
      s = over_x(s);
    power = times(power, power);
  }
  return out;
}
constexpr std::array<uint32_t, 64> kShifts = shifts();

// The checksum of a frame, all but its payload.
uint32_t header_register(std::span<const std::byte> header) {
  assert(header.size() >= kHopHeaderSize);
  static_assert(kHopHeaderSize == 24 && kHopCrcAt == 20);
  const std::byte* p = header.data();
  // Three instructions for the hop header: the field lies in the upper half of its last word.
  uint64_t raw = 0xffffffff;
  raw = _mm_crc32_u64(raw, load_le<uint64_t>(p));
  raw = _mm_crc32_u64(raw, load_le<uint64_t>(p + 8));
  raw = _mm_crc32_u64(raw, load_le<uint32_t>(p + 16));
  return update(static_cast<uint32_t>(raw), header.subspan(kHopHeaderSize));
}

uint32_t frame_crc(std::span<const std::byte> header, uint32_t part, uint64_t len) {
  return ~(crc_shift(header_register(header), len) ^ part);
}

}  // namespace

uint32_t crc_part(std::span<const std::byte> bytes) {
  return bytes.empty() ? 0 : update(0, bytes);
}

__attribute__((target("pclmul"))) uint32_t crc_shift(uint32_t part, uint64_t bytes) {
  for (size_t k = 0; bytes != 0; k++, bytes >>= 1) {
    if ((bytes & 1) == 0) continue;
    const __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi32_si128(static_cast<int>(part)),
                             _mm_cvtsi32_si128(static_cast<int>(kShifts[k])), 0);
    part =
        static_cast<uint32_t>(_mm_crc32_u64(0, static_cast<uint64_t>(_mm_cvtsi128_si64(product))));
  }
  return part;
}

uint32_t crc32c(std::span<const std::byte> bytes, uint32_t before) {
  return ~update(~before, bytes);
}

uint32_t frame_crc(std::span<const std::byte> header, std::span<const std::byte> payload) {
  const uint32_t first = header_register(header);
  return ~(payload.empty() ? first : update(first, payload));
}

void seal(std::span<std::byte> header, uint32_t payload_part, uint64_t payload_len) {
  store_le(header.data() + kHopCrcAt, frame_crc(header, payload_part, payload_len));
}

void seal(std::span<std::byte> header, std::span<const std::byte> payload) {
  store_le(header.data() + kHopCrcAt, frame_crc(header, payload));
}

bool check(std::span<const std::byte> header, std::span<const std::byte> payload) {
  return header.size() >= kHopHeaderSize &&
         load_le<uint32_t>(header.data() + kHopCrcAt) == frame_crc(header, payload);
}

bool check(std::span<const std::byte> header, uint32_t payload_part, uint64_t payload_len) {
  return header.size() >= kHopHeaderSize && load_le<uint32_t>(header.data() + kHopCrcAt) ==
                                                frame_crc(header, payload_part, payload_len);
}

}  // namespace penstock
