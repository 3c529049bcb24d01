#include "rdma/emulated/frame.h"

#include <array>
#include <cstring>

#include "dataplane/wire/bytes.h"
#include "dataplane/wire/crc32c.h"

namespace penstock {
namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kCommon = 40;
constexpr size_t kCrcAt = 12;
constexpr uint16_t kHasImmediate = 1;

uint32_t sum_of(std::span<const std::byte> frame) {
  constexpr std::array<std::byte, 4> kZero{};
  uint32_t crc = crc32c(frame.first(kCrcAt));
  crc = crc32c(kZero, crc);
  return crc32c(frame.subspan(kCrcAt + 4), crc);
}

bool has_payload(EmulatedType t) {
  return t == EmulatedType::kPut || t == EmulatedType::kPiece;
}

// The payload lies within the whole, and is empty only when the whole is.
bool fits(const EmulatedFrame& f) {
  const uint64_t len = f.payload.size();
  if (f.bytes == 0) return len == 0 && f.at == 0;
  return len != 0 && f.at < f.bytes && len <= f.bytes - f.at;
}

bool parse_put(const std::byte* b, uint16_t flags, EmulatedFrame& f) {
  f.address = load_le<uint64_t>(b);
  f.key = load_le<uint32_t>(b + 8);
  f.bytes = load_le<uint32_t>(b + 12);
  f.at = load_le<uint32_t>(b + 16);
  f.immediate = load_le<uint32_t>(b + 20);
  f.has_immediate = (flags & kHasImmediate) != 0;
  if (!fits(f) || (!f.has_immediate && f.immediate != 0)) return false;
  return !f.has_immediate || f.payload.size() == f.bytes - f.at;
}

bool parse_get(const std::byte* b, EmulatedFrame& f) {
  f.address = load_le<uint64_t>(b);
  f.key = load_le<uint32_t>(b + 8);
  f.bytes = load_le<uint32_t>(b + 12);
  f.request = load_le<uint32_t>(b + 16);
  return load_le<uint32_t>(b + 20) == 0;
}

bool parse_piece(const std::byte* b, EmulatedFrame& f) {
  f.request = load_le<uint32_t>(b);
  f.at = load_le<uint32_t>(b + 4);
  f.bytes = load_le<uint32_t>(b + 8);
  return fits(f) && f.bytes != 0 && load_le<uint32_t>(b + 12) == 0;
}

bool parse_flush(const std::byte* b, EmulatedFrame& f) {
  f.address = load_le<uint64_t>(b);
  f.key = load_le<uint32_t>(b + 8);
  return load_le<uint32_t>(b + 12) == 0;
}

bool parse_refused(const std::byte* b, EmulatedFrame& f) {
  f.refused = load_le<uint64_t>(b);
  const uint32_t code = load_le<uint32_t>(b + 8);
  f.code = static_cast<FabricCode>(code);
  return f.refused != 0 && code > static_cast<uint32_t>(FabricCode::kCanceled) &&
         code < kFabricCodes && load_le<uint32_t>(b + 12) == 0;
}

}  // namespace

size_t emulated_header(EmulatedType type) {
  switch (type) {
    case EmulatedType::kPut:
    case EmulatedType::kGet:
      return kCommon + 24;
    case EmulatedType::kPiece:
    case EmulatedType::kFlush:
    case EmulatedType::kRefused:
      return kCommon + 16;
    case EmulatedType::kAck:
      break;
  }
  return kCommon;
}

size_t write_emulated(const EmulatedFrame& f, std::byte* out) {
  const size_t header = emulated_header(f.type);
  const size_t len = header + (has_payload(f.type) ? f.payload.size() : 0);
  std::memset(out, 0, header);
  store_le<uint8_t>(out, kVersion);
  store_le<uint8_t>(out + 1, static_cast<uint8_t>(f.type));
  store_le<uint16_t>(out + 2, f.has_immediate ? kHasImmediate : uint16_t{0});
  store_le<uint32_t>(out + 4, f.to);
  store_le<uint32_t>(out + 8, f.nonce);
  store_le<uint64_t>(out + 16, f.packet);
  store_le<uint64_t>(out + 24, f.ack);
  store_le<uint64_t>(out + 32, f.sack);
  std::byte* b = out + kCommon;
  switch (f.type) {
    case EmulatedType::kPut:
      store_le<uint64_t>(b, f.address);
      store_le<uint32_t>(b + 8, f.key);
      store_le<uint32_t>(b + 12, f.bytes);
      store_le<uint32_t>(b + 16, f.at);
      store_le<uint32_t>(b + 20, f.immediate);
      break;
    case EmulatedType::kGet:
      store_le<uint64_t>(b, f.address);
      store_le<uint32_t>(b + 8, f.key);
      store_le<uint32_t>(b + 12, f.bytes);
      store_le<uint32_t>(b + 16, f.request);
      break;
    case EmulatedType::kPiece:
      store_le<uint32_t>(b, f.request);
      store_le<uint32_t>(b + 4, f.at);
      store_le<uint32_t>(b + 8, f.bytes);
      break;
    case EmulatedType::kFlush:
      store_le<uint64_t>(b, f.address);
      store_le<uint32_t>(b + 8, f.key);
      break;
    case EmulatedType::kRefused:
      store_le<uint64_t>(b, f.refused);
      store_le<uint32_t>(b + 8, static_cast<uint32_t>(f.code));
      break;
    case EmulatedType::kAck:
      break;
  }
  store_le<uint32_t>(out + kCrcAt, sum_of({out, len}));
  return len;
}

std::optional<EmulatedFrame> parse_emulated(std::span<const std::byte> bytes) {
  if (bytes.size() < kCommon || load_le<uint8_t>(bytes.data()) != kVersion) return std::nullopt;
  EmulatedFrame f;
  const auto type = load_le<uint8_t>(bytes.data() + 1);
  if (type < static_cast<uint8_t>(EmulatedType::kPut) ||
      type > static_cast<uint8_t>(EmulatedType::kRefused))
    return std::nullopt;
  f.type = static_cast<EmulatedType>(type);
  const auto flags = load_le<uint16_t>(bytes.data() + 2);
  if ((flags & ~kHasImmediate) != 0 || (flags != 0 && f.type != EmulatedType::kPut))
    return std::nullopt;
  const size_t header = emulated_header(f.type);
  if (bytes.size() < header || (!has_payload(f.type) && bytes.size() != header))
    return std::nullopt;
  if (load_le<uint32_t>(bytes.data() + kCrcAt) != sum_of(bytes)) return std::nullopt;
  f.to = load_le<uint32_t>(bytes.data() + 4);
  f.nonce = load_le<uint32_t>(bytes.data() + 8);
  f.packet = load_le<uint64_t>(bytes.data() + 16);
  f.ack = load_le<uint64_t>(bytes.data() + 24);
  f.sack = load_le<uint64_t>(bytes.data() + 32);
  const bool counted = f.type != EmulatedType::kAck && f.type != EmulatedType::kRefused;
  // Numbers that would wrap are no numbers.
  constexpr uint64_t kMost = uint64_t{1} << 62;
  if (counted != (f.packet != 0) || f.packet > kMost || f.ack == 0 || f.ack > kMost)
    return std::nullopt;
  f.payload = bytes.subspan(header);
  const std::byte* b = bytes.data() + kCommon;
  bool good = true;
  switch (f.type) {
    case EmulatedType::kPut:
      good = parse_put(b, flags, f);
      break;
    case EmulatedType::kGet:
      good = parse_get(b, f);
      break;
    case EmulatedType::kPiece:
      good = parse_piece(b, f);
      break;
    case EmulatedType::kFlush:
      good = parse_flush(b, f);
      break;
    case EmulatedType::kRefused:
      good = parse_refused(b, f);
      break;
    case EmulatedType::kAck:
      break;
  }
  if (!good) return std::nullopt;
  return f;
}

}  // namespace penstock
