#include "dataplane/wire/ack.h"

#include <algorithm>

#include "dataplane/wire/bytes.h"

namespace penstock {
namespace {

// Packet numbers start at 1: of the bitmap only the first largest - 1 bits may be set.
bool speaks_of_real_packets(const Ack& a) {
  if (a.largest > kAckBits) return true;
  const uint64_t bits = a.largest == 0 ? 0 : a.largest - 1;
  for (uint64_t i = bits; i < kAckBits; i++) {
    if ((a.bitmap[i / 64] >> (i % 64) & 1) != 0) return false;
  }
  return true;
}

}  // namespace

Credit CreditView::operator[](size_t i) const {
  const std::byte* p = bytes_.data() + i * kCreditSize;
  return {load_le<uint32_t>(p), load_le<uint32_t>(p + 4), load_le<uint64_t>(p + 8),
          load_le<uint64_t>(p + 16)};
}

size_t write_ack(const Ack& a, std::span<const Credit> credits, std::span<std::byte> out) {
  if (out.size() < kAckHeaderSize) return 0;
  const size_t n = std::min(credits.size(), credits_that_fit(out.size()));
  std::byte* p = out.data();
  store_le(p, a.largest);
  store_le(p + 8, a.delay);
  store_le(p + 12, static_cast<uint32_t>(n));
  for (size_t i = 0; i < a.bitmap.size(); i++) {
    store_le(p + 16 + 8 * i, a.bitmap[i]);
  }
  store_le(p + 48, a.waited);
  store_le(p + 52, a.allowed);
  store_le(p + 56, a.marked);
  store_le(p + 60, uint32_t{0});
  p += kAckHeaderSize;
  for (const Credit& c : credits.first(n)) {
    store_le(p, c.alias);
    store_le(p + 4, c.epoch);
    store_le(p + 8, c.position);
    store_le(p + 16, c.arena_position);
    p += kCreditSize;
  }
  return kAckHeaderSize + n * kCreditSize;
}

std::optional<AckFrame> parse_ack(std::span<const std::byte> body) {
  if (body.size() < kAckHeaderSize) return std::nullopt;
  const std::byte* p = body.data();
  Ack a{.largest = load_le<uint64_t>(p),
        .delay = load_le<uint32_t>(p + 8),
        .waited = load_le<uint32_t>(p + 48),
        .allowed = load_le<uint32_t>(p + 52),
        .marked = load_le<uint32_t>(p + 56)};
  const uint64_t n = load_le<uint32_t>(p + 12);
  if (n * kCreditSize != body.size() - kAckHeaderSize) return std::nullopt;
  for (size_t i = 0; i < a.bitmap.size(); i++) {
    a.bitmap[i] = load_le<uint64_t>(p + 16 + 8 * i);
  }
  if (load_le<uint32_t>(p + 60) != 0 || !speaks_of_real_packets(a)) return std::nullopt;
  return AckFrame{a, CreditView(body.subspan(kAckHeaderSize))};
}

}  // namespace penstock
