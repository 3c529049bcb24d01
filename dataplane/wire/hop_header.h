// The 24 bytes in front of every frame. Layout and rules: FORMAT.md in this folder.
//
//    0     1     2           4                       8
//    +-----+-----+-----------+-----------------------+
//    |v|typ|flags|incarnation| connection            |
//    +-----+-----+-----------+-----------------------+
//    | packet                                        |
//    +-----------------------+-----------------------+
//    | timestamp             | crc                   |
//    +-----------------------+-----------------------+   24
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/wire/bytes.h"

namespace penstock {

inline constexpr uint8_t kWireVersion = 1;
inline constexpr size_t kHopHeaderSize = 24;
inline constexpr size_t kHopCrcAt = 20;
inline constexpr unsigned kTickShift = 4;  // timestamps and delays count 16 ns ticks

enum class FrameType : uint8_t {
  kHello = 1,
  kHelloAck = 2,
  kBatch = 3,
  kFragment = 4,
  kAck = 5,
  kPing = 6,
  kPong = 7,
  kClose = 8,
  kRetry = 9,
  kAnnounce = 10,
  kPass = 11,
  kRelayed = 12,
  kLanded = 13,
};

// HopHeader.flags
enum : uint8_t {
  kHopAckNow = 1,  // acknowledge at once: the sender waits for it
};

struct HopHeader {
  FrameType type = FrameType::kPing;
  uint8_t flags = 0;
  uint16_t incarnation = 0;  // low 16 bits of the sender's node epoch
  uint32_t connection = 0;   // chosen by the receiver; 0 only in HELLO
  uint64_t packet = 0;       // from 1, +1 for each transmission
  uint32_t timestamp = 0;    // of transmission, 16 ns ticks
  uint32_t crc = 0;          // see crc32c.h; seal() fills it in

  bool operator==(const HopHeader&) const = default;
};

// The connection id's parts: the worker that owns it, and what that worker finds it by.
constexpr uint32_t connection_id(uint32_t worker, uint32_t low) {
  return (worker << 24) | (low & 0xffffff);
}
constexpr uint32_t connection_worker(uint32_t connection) {
  return connection >> 24;
}

// The version that a frame claims, so that a foreign one can be named; 0 for no bytes.
inline uint8_t wire_version(std::span<const std::byte> frame) {
  return frame.empty() ? 0 : static_cast<uint8_t>(load_le<uint8_t>(frame.data()) >> 5);
}

// The hop header at the front of `frame`, or nothing: too short, another version, an unknown type
// or flag. Does not look at the checksum.
inline std::optional<HopHeader> parse_hop(std::span<const std::byte> frame) {
  if (frame.size() < kHopHeaderSize || wire_version(frame) != kWireVersion) return std::nullopt;
  const std::byte* p = frame.data();
  const unsigned type = load_le<uint8_t>(p) & 31u;
  const auto flags = load_le<uint8_t>(p + 1);
  if (type < 1 || type > 13 || (flags & ~unsigned{kHopAckNow}) != 0) return std::nullopt;
  return HopHeader{static_cast<FrameType>(type),    flags,
                   load_le<uint16_t>(p + 2),        load_le<uint32_t>(p + 4),
                   load_le<uint64_t>(p + 8),        load_le<uint32_t>(p + 16),
                   load_le<uint32_t>(p + kHopCrcAt)};
}

// Writes `h` to the first kHopHeaderSize bytes of `out`, which has room for them.
inline void write_hop(const HopHeader& h, std::span<std::byte> out) {
  std::byte* p = out.data();
  store_le(p, static_cast<uint8_t>(kWireVersion << 5 | static_cast<unsigned>(h.type)));
  store_le(p + 1, h.flags);
  store_le(p + 2, h.incarnation);
  store_le(p + 4, h.connection);
  store_le(p + 8, h.packet);
  store_le(p + 16, h.timestamp);
  store_le(p + kHopCrcAt, h.crc);
}

}  // namespace penstock
