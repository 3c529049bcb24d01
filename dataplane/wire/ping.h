// PING and PONG: eight bytes that come back as they were. Layout: FORMAT.md.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/wire/bytes.h"

namespace penstock {

inline constexpr size_t kPingSize = 8;

// Writes the token to the first kPingSize bytes of `out`, which has room for them.
inline void write_ping(uint64_t token, std::span<std::byte> out) {
  store_le(out.data(), token);
}

// The token of a PONG's body, or nothing.
inline std::optional<uint64_t> parse_pong(std::span<const std::byte> body) {
  if (body.size() != kPingSize) return std::nullopt;
  return load_le<uint64_t>(body.data());
}

// The token of a PING's body, which may have zeros behind it, or nothing.
inline std::optional<uint64_t> parse_ping(std::span<const std::byte> body) {
  if (body.size() < kPingSize) return std::nullopt;
  const auto padding = body.subspan(kPingSize);
  if (std::ranges::any_of(padding, [](std::byte b) { return b != std::byte{0}; }))
    return std::nullopt;
  return load_le<uint64_t>(body.data());
}

}  // namespace penstock
