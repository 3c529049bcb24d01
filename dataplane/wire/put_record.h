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
//    +-----------------------------------------------+   96
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/wire/fragment.h"

namespace penstock {

inline constexpr size_t kPutRecordSize = 16 + kFragmentHeaderSize;
inline constexpr uint64_t kPutMost = uint64_t{1} << 41;  // bytes: 1024 chunks of 2^31

struct PutRecord {
  uint64_t number = 0;
  uint64_t bytes = 0;      // of the message, from message.offset on
  FragmentHeader message;  // has no piece_len: it would not hold them

  bool operator==(const PutRecord&) const = default;
};

inline void write_put_record(const PutRecord& r, std::span<std::byte, kPutRecordSize> out) {
  store_le(out.data(), r.number);
  store_le(out.data() + 8, r.bytes);
  write_fragment(r.message, out.subspan(16));
}

// Nothing: it breaks the format. Where the message may lie is for others to check.
inline std::optional<PutRecord> parse_put_record(std::span<const std::byte, kPutRecordSize> in) {
  const std::byte* p = in.data();
  PutRecord r;
  r.number = load_le<uint64_t>(p);
  r.bytes = load_le<uint64_t>(p + 8);
  r.message = read_fragment_header(p + 16, false);
  const FragmentHeader& m = r.message;
  const bool zeros = load_le<uint16_t>(p + 16 + 70) == 0 && load_le<uint32_t>(p + 16 + 76) == 0 &&
                     m.piece_len == 0;
  if (!zeros || r.number == 0 || m.parts == 0 || m.message_len > kPutMost) return std::nullopt;
  if (m.offset >= m.message_len || m.offset % kFragmentAlign != 0) return std::nullopt;
  const uint64_t rest = m.message_len - m.offset;
  if (r.bytes == 0 || r.bytes > rest) return std::nullopt;
  if (r.bytes != rest && r.bytes % kFragmentAlign != 0) return std::nullopt;
  return r;
}

}  // namespace penstock
