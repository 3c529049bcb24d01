// FRAGMENT: one piece of a message that is too large for a batch. The header names the final place
// of the piece, so pieces may come in any order. Layout: FORMAT.md.
//
//    0                       4                       8
//    +-----------------------+-----------------------+
//    | alias                 | epoch                 |
//    +-----------------------+-----------------------+
//    | position                                      |  of the message, in the mirror
//    +-----------------------------------------------+
//    | arena_position                                |
//    +-----------------------------------------------+
//    | message_len                                   |
//    +-----------------------------------------------+
//    | offset                                        |  of the piece, in the message
//    +-----------------------------------------------+
//    | time                                          |
//    +-----------------------------------------------+
//    | key                                           |
//    +-----------------------------------------------+
//    | source                                        |
//    +-----------------------+-----------+-----------+
//    | topic                 | parts     | flags     |
//    +-----------------------+-----------+-----------+
//    | piece_len             | digest                |
//    +-----------------------+-----------------------+   80   then the piece
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "dataplane/wire/bytes.h"

namespace penstock {

inline constexpr size_t kFragmentHeaderSize = 80;

struct FragmentHeader {
  uint32_t alias = 0;           // of the lane on this link
  uint32_t epoch = 0;           // of the lane, low 32 bits
  uint64_t position = 0;        // of the message, in the mirror
  uint64_t arena_position = 0;  // of the message, in the mirror
  uint64_t message_len = 0;     // bytes
  uint64_t offset = 0;          // of this piece in the message: a whole number of blocks
  uint64_t time = 0;
  uint64_t key = 0;
  uint64_t source = 0;  // position where it was first published
  uint32_t topic = 0;
  uint16_t parts = 1;
  uint32_t piece_len = 0;  // bytes of this piece: whole blocks, or up to the message's end
  std::optional<uint32_t> digest = {};  // of the message, only in a piece that reaches its end

  bool operator==(const FragmentHeader&) const = default;
};

inline constexpr uint64_t kFragmentAlign = 64;  // a block of the arena

// Messages larger than this have a digest.
inline constexpr uint64_t kDigestFrom = 65536;
inline constexpr uint16_t kFragmentDigest = 1;  // flag: the digest is there

struct Fragment {
  FragmentHeader header;
  std::span<const std::byte> piece;
};

// Whether the piece lies in its message and is made of whole blocks.
constexpr bool valid_piece(uint64_t message_len, uint64_t offset, uint32_t len, bool digest) {
  if (len == 0 || offset >= message_len || offset % kFragmentAlign != 0) return false;
  const uint64_t rest = message_len - offset;
  if (len > rest || (digest && (message_len <= kDigestFrom || len != rest))) return false;
  return len == rest || len % kFragmentAlign == 0;
}

// Writes the header to the first kFragmentHeaderSize bytes of `out`, which has room for them. The
// piece follows, in the frame's payload.
inline void write_fragment(const FragmentHeader& h, std::span<std::byte> out) {
  std::byte* p = out.data();
  store_le(p, h.alias);
  store_le(p + 4, h.epoch);
  store_le(p + 8, h.position);
  store_le(p + 16, h.arena_position);
  store_le(p + 24, h.message_len);
  store_le(p + 32, h.offset);
  store_le(p + 40, h.time);
  store_le(p + 48, h.key);
  store_le(p + 56, h.source);
  store_le(p + 64, h.topic);
  store_le(p + 68, h.parts);
  store_le(p + 70, h.digest ? kFragmentDigest : uint16_t{0});
  store_le(p + 72, h.piece_len);
  store_le(p + 76, h.digest.value_or(0));
}

// The header as it stands in the first kFragmentHeaderSize bytes of `p`, the digest if `digest`.
inline FragmentHeader read_fragment_header(const std::byte* p, bool digest) {
  return {load_le<uint32_t>(p),
          load_le<uint32_t>(p + 4),
          load_le<uint64_t>(p + 8),
          load_le<uint64_t>(p + 16),
          load_le<uint64_t>(p + 24),
          load_le<uint64_t>(p + 32),
          load_le<uint64_t>(p + 40),
          load_le<uint64_t>(p + 48),
          load_le<uint64_t>(p + 56),
          load_le<uint32_t>(p + 64),
          load_le<uint16_t>(p + 68),
          load_le<uint32_t>(p + 72),
          digest ? std::optional(load_le<uint32_t>(p + 76)) : std::nullopt};
}

// The fragment in a frame, or nothing. `body` is what follows the hop header; the piece is its
// rest, or all of `payload` when the frame came in two segments. It is made where it is returned:
// a copy would have to wait for what was just written in smaller parts.
inline std::optional<Fragment> parse_fragment(std::span<const std::byte> body,
                                              std::span<const std::byte> payload = {}) {
  if (body.size() < kFragmentHeaderSize) return std::nullopt;
  const std::byte* p = body.data();
  const auto rest = body.subspan(kFragmentHeaderSize);
  if (!rest.empty() && !payload.empty()) return std::nullopt;
  const auto piece = payload.empty() ? rest : payload;
  const auto message_len = load_le<uint64_t>(p + 24);
  const auto offset = load_le<uint64_t>(p + 32);
  const auto parts = load_le<uint16_t>(p + 68);
  const auto flags = load_le<uint16_t>(p + 70);
  const auto piece_len = load_le<uint32_t>(p + 72);
  const auto digest = load_le<uint32_t>(p + 76);
  if ((flags & ~kFragmentDigest) != 0 || (flags == 0 && digest != 0)) return std::nullopt;
  if (piece.size() != piece_len || parts == 0) return std::nullopt;
  if (!valid_piece(message_len, offset, piece_len, flags != 0)) return std::nullopt;
  return std::optional<Fragment>(
      std::in_place,
      FragmentHeader{load_le<uint32_t>(p), load_le<uint32_t>(p + 4), load_le<uint64_t>(p + 8),
                     load_le<uint64_t>(p + 16), message_len, offset, load_le<uint64_t>(p + 40),
                     load_le<uint64_t>(p + 48), load_le<uint64_t>(p + 56),
                     load_le<uint32_t>(p + 64), parts, piece_len,
                     flags != 0 ? std::optional(digest) : std::nullopt},
      piece);
}

}  // namespace penstock
