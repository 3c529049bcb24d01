// Put record: what a message is whose bytes come by RDMA, put beside them. Its transfer goes in
// chunks of 2^chunk_log2 bytes, each with an immediate of its own. Layout: FORMAT.md.
//
//    0                       4                       8
//    +-----------------------+-----------------------+
//    | number                                        |  of the transfer, from 1
//    +-----------------------+-----------------------+
//    | chunk_log2            | 0                     |
//    +-----------------------+-----------------------+   16
//    | the header of a FRAGMENT: offset, piece_len,  |
//    | flags and digest are 0                        |
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
  uint32_t chunk_log2 = 0;
  FragmentHeader message;

  bool operator==(const PutRecord&) const = default;
};

inline void write_put_record(const PutRecord& r, std::span<std::byte, kPutRecordSize> out) {
  store_le(out.data(), r.number);
  store_le(out.data() + 8, r.chunk_log2);
  store_le(out.data() + 12, uint32_t{0});
  write_fragment(r.message, out.subspan(16));
}

// Nothing: it breaks the format. Where the message may lie is for others to check.
inline std::optional<PutRecord> parse_put_record(std::span<const std::byte, kPutRecordSize> in) {
  const std::byte* p = in.data();
  PutRecord r;
  r.number = load_le<uint64_t>(p);
  r.chunk_log2 = load_le<uint32_t>(p + 8);
  r.message = read_fragment_header(p + 16, false);
  const bool zeros = load_le<uint32_t>(p + 12) == 0 && load_le<uint16_t>(p + 16 + 70) == 0 &&
                     load_le<uint32_t>(p + 16 + 76) == 0;
  const FragmentHeader& m = r.message;
  if (!zeros || m.offset != 0 || m.piece_len != 0) return std::nullopt;
  if (r.number == 0 || m.parts == 0) return std::nullopt;
  if (m.message_len == 0 || m.message_len > kPutMost) return std::nullopt;
  if (r.chunk_log2 < 12 || r.chunk_log2 > 31) return std::nullopt;
  return r;
}

}  // namespace penstock
