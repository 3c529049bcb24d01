#include "dataplane/wire/crc32c.h"

#include <cassert>
#include <climits>
#include <isa-l/crc.h>
#include <nmmintrin.h>

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

}  // namespace

uint32_t crc32c(std::span<const std::byte> bytes, uint32_t before) {
  return ~update(~before, bytes);
}

uint32_t frame_crc(std::span<const std::byte> header, std::span<const std::byte> payload) {
  assert(header.size() >= kHopHeaderSize);
  static_assert(kHopHeaderSize == 24 && kHopCrcAt == 20);
  const std::byte* p = header.data();
  // Three instructions for the hop header: the field lies in the upper half of its last word.
  uint64_t raw = 0xffffffff;
  raw = _mm_crc32_u64(raw, load_le<uint64_t>(p));
  raw = _mm_crc32_u64(raw, load_le<uint64_t>(p + 8));
  raw = _mm_crc32_u64(raw, load_le<uint32_t>(p + 16));
  const uint32_t first = update(static_cast<uint32_t>(raw), header.subspan(kHopHeaderSize));
  return ~(payload.empty() ? first : update(first, payload));
}

void seal(std::span<std::byte> header, std::span<const std::byte> payload) {
  store_le(header.data() + kHopCrcAt, frame_crc(header, payload));
}

bool check(std::span<const std::byte> header, std::span<const std::byte> payload) {
  return header.size() >= kHopHeaderSize &&
         load_le<uint32_t>(header.data() + kHopCrcAt) == frame_crc(header, payload);
}

}  // namespace penstock
