// ANNOUNCE, PASS, RELAYED, LANDED: a large message that goes to several nodes down a chain of them,
// so that its sender sends it once. Layouts: FORMAT.md.
//
//   source ──FRAGMENT──▶ relay ──RELAYED──▶ receiver         LANDED: how far it is, to the source
//      ├──────PASS──────────▲                  ▲  │
//      ├──────ANNOUNCE─────────────────────────┘  │
//      ◀──────────────────────────LANDED──────────┘
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/wire/bytes.h"
#include "dataplane/wire/fragment.h"

namespace penstock {

// Source to receiver: the body of a FRAGMENT with the message's beginning, and behind it the node
// from which the rest may come.
inline constexpr size_t kAnnounceTailSize = 16;

struct Announce {
  Fragment fragment;
  uint64_t relay = 0;  // node id
  bool puts = false;   // by RDMA, or not from there at all

  static constexpr uint32_t kPuts = 1;
};

inline void write_announce_tail(uint64_t relay, bool puts, std::byte* out) {
  store_le(out, relay);
  store_le(out + 8, puts ? Announce::kPuts : uint32_t{0});
  store_le(out + 12, uint32_t{0});
}

inline std::optional<Announce> parse_announce(std::span<const std::byte> body) {
  if (body.size() < kFragmentHeaderSize + kAnnounceTailSize) return std::nullopt;
  const size_t at = body.size() - kAnnounceTailSize;
  const auto f = parse_fragment(body.first(at));
  const std::byte* tail = body.data() + at;
  const auto flags = load_le<uint32_t>(tail + 8);
  if (!f || f->header.offset != 0) return std::nullopt;
  if ((flags & ~Announce::kPuts) != 0 || load_le<uint32_t>(tail + 12) != 0) return std::nullopt;
  return Announce{*f, load_le<uint64_t>(tail), flags != 0};
}

// Source to relay: put this message, as it lands in your mirror, to that node as well.
inline constexpr size_t kPassSize = 64;

struct Pass {
  // Of the lane on this link; what follows is the message in the relay's mirror.
  uint32_t alias = 0;
  uint32_t epoch = 0;
  uint64_t position = 0;
  uint64_t arena_position = 0;
  uint64_t message_len = 0;
  uint64_t to = 0;             // node id
  uint32_t to_connection = 0;  // of its link with the source
  uint32_t to_alias = 0;       // of the lane on that link
  uint32_t to_epoch = 0;
  uint64_t to_position = 0;
  bool puts = false;  // by RDMA, or not at all

  static constexpr uint32_t kPuts = 1;
  bool operator==(const Pass&) const = default;
};

inline void write_pass(const Pass& p, std::span<std::byte> out) {
  std::byte* at = out.data();
  store_le(at, p.alias);
  store_le(at + 4, p.epoch);
  store_le(at + 8, p.position);
  store_le(at + 16, p.arena_position);
  store_le(at + 24, p.message_len);
  store_le(at + 32, p.to);
  store_le(at + 40, p.to_connection);
  store_le(at + 44, p.to_alias);
  store_le(at + 48, p.to_epoch);
  store_le(at + 52, p.puts ? Pass::kPuts : uint32_t{0});
  store_le(at + 56, p.to_position);
}

inline std::optional<Pass> parse_pass(std::span<const std::byte> body) {
  if (body.size() != kPassSize) return std::nullopt;
  const std::byte* p = body.data();
  const auto flags = load_le<uint32_t>(p + 52);
  if ((flags & ~Pass::kPuts) != 0) return std::nullopt;
  return Pass{load_le<uint32_t>(p),
              load_le<uint32_t>(p + 4),
              load_le<uint64_t>(p + 8),
              load_le<uint64_t>(p + 16),
              load_le<uint64_t>(p + 24),
              load_le<uint64_t>(p + 32),
              load_le<uint32_t>(p + 40),
              load_le<uint32_t>(p + 44),
              load_le<uint32_t>(p + 48),
              load_le<uint64_t>(p + 56),
              flags != 0};
}

// Relay to receiver: a piece of a message that its source has announced.
inline constexpr size_t kRelayedHeaderSize = 40;

struct RelayedHeader {
  uint32_t connection = 0;  // of the receiver's link with the source
  uint32_t alias = 0;       // of the lane on that link
  uint32_t epoch = 0;
  uint32_t piece_len = 0;
  uint64_t position = 0;                // of the message, in the receiver's mirror
  uint64_t offset = 0;                  // of the piece, in the message: a whole number of blocks
  std::optional<uint32_t> digest = {};  // as its source said, in a piece that reaches the end

  bool operator==(const RelayedHeader&) const = default;
};

struct Relayed {
  RelayedHeader header;
  std::span<const std::byte> piece;
};

inline void write_relayed(const RelayedHeader& h, std::span<std::byte> out) {
  std::byte* p = out.data();
  store_le(p, h.connection);
  store_le(p + 4, h.alias);
  store_le(p + 8, h.epoch);
  store_le(p + 12, h.piece_len);
  store_le(p + 16, h.position);
  store_le(p + 24, h.offset);
  store_le(p + 32, uint32_t{h.digest ? kFragmentDigest : uint16_t{0}});
  store_le(p + 36, h.digest.value_or(0));
}

inline std::optional<Relayed> parse_relayed(std::span<const std::byte> body,
                                            std::span<const std::byte> payload = {}) {
  if (body.size() < kRelayedHeaderSize) return std::nullopt;
  const std::byte* p = body.data();
  RelayedHeader h{load_le<uint32_t>(p),      load_le<uint32_t>(p + 4),  load_le<uint32_t>(p + 8),
                  load_le<uint32_t>(p + 12), load_le<uint64_t>(p + 16), load_le<uint64_t>(p + 24)};
  const auto flags = load_le<uint32_t>(p + 32);
  const auto digest = load_le<uint32_t>(p + 36);
  if ((flags & ~uint32_t{kFragmentDigest}) != 0 || (flags == 0 && digest != 0)) return std::nullopt;
  if (flags != 0) h.digest = digest;
  const auto rest = body.subspan(kRelayedHeaderSize);
  if (!rest.empty() && !payload.empty()) return std::nullopt;
  const auto piece = payload.empty() ? rest : payload;
  if (piece.empty() || piece.size() != h.piece_len || h.offset % kFragmentAlign != 0)
    return std::nullopt;
  return Relayed{h, piece};
}

// Receiver to source: of a lane that has relayed messages, all before `position` are here, and of
// that one the first `landed` bytes.
inline constexpr size_t kLandedSize = 24;

struct Landed {
  uint32_t alias = 0;
  uint32_t epoch = 0;
  uint64_t position = 0;
  uint64_t landed = 0;

  // In `landed`: the message at `position` was announced to come by RDMA, and no more of it than
  // these bytes does.
  static constexpr uint64_t kRefused = uint64_t{1} << 63;
  bool operator==(const Landed&) const = default;
};

inline void write_landed(const Landed& l, std::span<std::byte> out) {
  store_le(out.data(), l.alias);
  store_le(out.data() + 4, l.epoch);
  store_le(out.data() + 8, l.position);
  store_le(out.data() + 16, l.landed);
}

inline std::optional<Landed> parse_landed(std::span<const std::byte> body) {
  if (body.size() != kLandedSize) return std::nullopt;
  const std::byte* p = body.data();
  return Landed{load_le<uint32_t>(p), load_le<uint32_t>(p + 4), load_le<uint64_t>(p + 8),
                load_le<uint64_t>(p + 16)};
}

}  // namespace penstock
