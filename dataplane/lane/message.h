// Message: a view of one message in a lane. Nothing is copied; it stays valid until its reader lets
// go (LaneReader::release).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace penstock {

struct Message {
  const std::byte* data = nullptr;
  uint64_t len = 0;  // with the part table, when parts > 1
  uint64_t position = 0;
  uint64_t arena_pos = 0;
  uint64_t time_ns = 0;
  uint64_t key = 0;
  uint64_t source = 0;
  uint64_t origin = 0;
  uint32_t topic = 0;
  uint16_t parts = 1;
  uint16_t flags = 0;
};

// A message of several parts:
//
//   [ len 0 : u32 ][ len 1 : u32 ] ... pad to 8 [ part 0, pad to 8 ][ part 1, pad to 8 ] ...
constexpr uint64_t pad8(uint64_t n) {
  return (n + 7) & ~uint64_t{7};
}

constexpr uint64_t parts_bytes(std::span<const std::span<const std::byte>> parts) {
  uint64_t n = pad8(parts.size() * 4);
  for (const auto& p : parts)
    n += pad8(p.size());
  return n;
}

// Writes the table and the parts to `out`, which has room for parts_bytes(parts).
inline void write_parts(std::span<const std::span<const std::byte>> parts, std::byte* out) {
  uint64_t at = pad8(parts.size() * 4);
  for (size_t i = 0; i < parts.size(); i++) {
    const auto len = static_cast<uint32_t>(parts[i].size());
    std::memcpy(out + i * 4, &len, 4);
    if (len != 0) std::memcpy(out + at, parts[i].data(), len);
    at += pad8(len);
  }
}

// Part `i` of a message, or an empty span when there is none or the table (which the publisher can
// scribble on) says something impossible.
inline std::span<const std::byte> part(const Message& m, uint32_t i) {
  if (i >= m.parts) return {};
  if (m.parts == 1) return {m.data, static_cast<size_t>(m.len)};
  uint64_t at = pad8(uint64_t{m.parts} * 4);
  if (at > m.len) return {};
  for (uint32_t k = 0;; k++) {
    uint32_t len = 0;
    std::memcpy(&len, m.data + uint64_t{k} * 4, 4);
    __asm__("" : "+r"(len));  // what is checked is what is used, whatever the publisher does now
    if (at > m.len || len > m.len - at) return {};
    if (k == i) return {m.data + at, len};
    at += pad8(len);
  }
}

}  // namespace penstock
