// Put record: of which message, and where in it, the bytes of a transfer are that come by RDMA; put
// beside them. Of a message that goes by several rails each has a part. Layout: FORMAT.md.
//
//    0                       4                       8
//    +-----------------------+-----------------------+
//    | number                                        |  of the transfer, from 1
//    +-----------------------+-----------------------+
//    | bytes                                         |  of the message that it brings
//    +-----------------------+-----------------------+   16
//    | the header of a FRAGMENT: piece_len, flags    |
//    | and digest are 0                              |
//    +-----------------------+-----------------------+   96
//    | connection            | kind                  |
//    +-----------------------+-----------------------+  104
//
// A message that is passed on (link/chain.h) is not one of this link's lanes: `connection` names
// its source's link. A note brings no bytes; it is what two nodes say of such a message.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "dataplane/wire/fragment.h"

namespace penstock {

inline constexpr size_t kPutRecordSize = 16 + kFragmentHeaderSize + 8;
inline constexpr uint64_t kPutMost = uint64_t{1} << 41;  // bytes: 1024 chunks of 2^31

struct PutRecord {
  uint64_t number = 0;
  uint64_t bytes = 0;       // of the message, from message.offset on
  FragmentHeader message;   // has no piece_len: it would not hold them
  uint32_t connection = 0;  // of the receiver's link with the message's source; 0: this one

  bool operator==(const PutRecord&) const = default;
};

inline void write_put_record(const PutRecord& r, std::span<std::byte, kPutRecordSize> out) {
  store_le(out.data(), r.number);
  store_le(out.data() + 8, r.bytes);
  write_fragment(r.message, out.subspan(16));
  store_le(out.data() + 96, r.connection);
  store_le(out.data() + 100, uint32_t{0});
}

// Nothing: it breaks the format. Where the message may lie is for others to check.
inline std::optional<PutRecord> parse_put_record(std::span<const std::byte, kPutRecordSize> in) {
  const std::byte* p = in.data();
  PutRecord r;
  r.number = load_le<uint64_t>(p);
  r.bytes = load_le<uint64_t>(p + 8);
  r.message = read_fragment_header(p + 16, false);
  r.connection = load_le<uint32_t>(p + 96);
  const FragmentHeader& m = r.message;
  const bool zeros = load_le<uint16_t>(p + 16 + 70) == 0 && load_le<uint32_t>(p + 16 + 76) == 0 &&
                     m.piece_len == 0 && load_le<uint32_t>(p + 100) == 0;
  if (!zeros || r.number == 0 || m.parts == 0 || m.message_len > kPutMost) return std::nullopt;
  if (m.offset >= m.message_len || m.offset % kFragmentAlign != 0) return std::nullopt;
  const uint64_t rest = m.message_len - m.offset;
  if (r.bytes == 0 || r.bytes > rest) return std::nullopt;
  if (r.bytes != rest && r.bytes % kFragmentAlign != 0) return std::nullopt;
  return r;
}

// Receiver to relay: put it there. Relay to receiver: nothing of it is put any more.
//
//    0                       4                       8
//    +-----------------------+-----------------------+
//    | number                                        |
//    +-----------------------+-----------------------+
//    | 0                                             |
//    +-----------------------+-----------------------+   16
//    | alias                 | epoch                 |
//    +-----------------------+-----------------------+
//    | position                                      |
//    +-----------------------+-----------------------+
//    | message_len                                   |  kGrant only, else 0, as what follows
//    +-----------------------+-----------------------+
//    | address                                       |
//    +-----------------------+-----------------------+
//    | key                   | 0                     |
//    +-----------------------+-----------------------+   56
//    | source                                        |
//    +-----------------------+-----------------------+   64
//    | 0                                             |
//    +-----------------------+-----------------------+   96
//    | connection            | kind                  |
//    +-----------------------+-----------------------+  104
struct PassNote {
  enum class Kind : uint32_t { kGrant = 1, kOver = 2 };
  uint64_t number = 0;  // of the transfer that it is
  Kind kind = Kind::kGrant;
  uint32_t connection = 0;  // of the receiver's link with the message's source
  uint32_t alias = 0;       // of the lane on that link
  uint32_t epoch = 0;
  uint64_t position = 0;
  uint64_t message_len = 0;
  uint64_t address = 0;
  uint32_t key = 0;
  uint64_t source = 0;  // node id

  bool operator==(const PassNote&) const = default;
};

inline void write_pass_note(const PassNote& n, std::span<std::byte, kPutRecordSize> out) {
  std::byte* p = out.data();
  std::memset(p, 0, kPutRecordSize);
  store_le(p, n.number);
  store_le(p + 16, n.alias);
  store_le(p + 20, n.epoch);
  store_le(p + 24, n.position);
  store_le(p + 32, n.message_len);
  store_le(p + 40, n.address);
  store_le(p + 48, n.key);
  store_le(p + 56, n.source);
  store_le(p + 96, n.connection);
  store_le(p + 100, static_cast<uint32_t>(n.kind));
}

// Nothing: it is none, or breaks the format.
inline std::optional<PassNote> parse_pass_note(std::span<const std::byte, kPutRecordSize> in) {
  const std::byte* p = in.data();
  PassNote n{load_le<uint64_t>(p),      static_cast<PassNote::Kind>(load_le<uint32_t>(p + 100)),
             load_le<uint32_t>(p + 96), load_le<uint32_t>(p + 16),
             load_le<uint32_t>(p + 20), load_le<uint64_t>(p + 24),
             load_le<uint64_t>(p + 32), load_le<uint64_t>(p + 40),
             load_le<uint32_t>(p + 48), load_le<uint64_t>(p + 56)};
  std::array<std::byte, kPutRecordSize> again;
  write_pass_note(n, again);
  if (std::memcmp(again.data(), p, again.size()) != 0 || n.number == 0) return std::nullopt;
  const bool grant = n.kind == PassNote::Kind::kGrant;
  if (!grant && n.kind != PassNote::Kind::kOver) return std::nullopt;
  if (grant != (n.message_len != 0) || n.message_len > kPutMost) return std::nullopt;
  if (!grant && (n.address != 0 || n.key != 0 || n.source != 0)) return std::nullopt;
  return n;
}

}  // namespace penstock
