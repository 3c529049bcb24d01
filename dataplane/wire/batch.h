// BATCH: whole messages of one lane, at consecutive positions of its mirror. Layout: FORMAT.md.
//
//    0                       4                       8
//    +-----------------------+-----------------------+
//    | alias                 | epoch                 |
//    +-----------------------+-----------------------+
//    | position                                      |  of the first message, in the mirror
//    +-----------------------------------------------+
//    | arena_position                                |
//    +-----------------------------------------------+
//    | source                                        |
//    +-----------------------+-----------+-----+-----+   32   first record
//    | len                   | topic     |parts|flags|
//    +-----------------------+-----------+-----+-----+
//    | time                                          |
//    +-----------------------------------------------+
//    | key, source: when flags say so                |
//    +-----------------------------------------------+
//    | len bytes, zeros up to a multiple of 8        |
//    +-----------------------------------------------+        next record
//
// All inline: a frame of 9000 bytes carries a hundred small messages.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/base/copy.h"
#include "dataplane/wire/bytes.h"

namespace penstock {

inline constexpr size_t kBatchHeaderSize = 32;
inline constexpr size_t kRecordSize = 16;

struct BatchHeader {
  uint32_t alias = 0;           // of the lane on this link
  uint32_t epoch = 0;           // of the lane, low 32 bits
  uint64_t position = 0;        // of the first message, in the mirror; the next ones follow
  uint64_t arena_position = 0;  // of the first message; arena_place and arena_next give the others
  uint64_t source = 0;          // position of the first message where it was first published

  bool operator==(const BatchHeader&) const = default;
};

// Record flags on the wire. There is one encoding of a record: a flag stands only where needed.
enum : uint8_t {
  kRecordKey = 1,     // u64 follows: the key
  kRecordGap = 2,     // no message: `key` messages will not come, for reason `parts`
  kRecordSource = 4,  // u64 follows: the source, which is not the previous one's + 1
};

// One message of a batch. `bytes` are the caller's when written, the frame's when read.
struct Record {
  const std::byte* bytes = nullptr;
  uint32_t len = 0;
  uint16_t topic = 0;
  uint8_t parts = 1;  // 1..255; of a gap: the reason
  bool gap = false;   // then len is 0
  uint64_t time = 0;  // of a gap: bytes of the arena that it stands for
  uint64_t key = 0;
  uint64_t source = 0;
};

// Fills the body of a BATCH frame, one message after the other.
class BatchWriter {
 public:
  // `out` is the room behind the hop header, kBatchHeaderSize bytes at least.
  BatchWriter(const BatchHeader& h, std::span<std::byte> out)
      : begin_(out.data()), at_(begin_ + kBatchHeaderSize), end_(begin_ + out.size()) {
    assert(out.size() >= kBatchHeaderSize);
    store_le(begin_, h.alias);
    store_le(begin_ + 4, h.epoch);
    store_le(begin_ + 8, h.position);
    store_le(begin_ + 16, h.arena_position);
    store_le(begin_ + 24, h.source);
    next_source_ = h.source;
  }

  // Copies the message in; false and nothing done when it doesn't fit. The first message's source
  // is the header's.
  bool append(const Record& r) {
    assert(at_ != begin_ + kBatchHeaderSize || r.source == next_source_);
    assert(r.gap ? r.len == 0 : r.parts != 0);
    const bool with_source = r.source != next_source_;
    const uint64_t padded = (uint64_t{r.len} + 7) & ~uint64_t{7};
    const uint64_t extra = (r.key != 0 ? 8u : 0u) + (with_source ? 8u : 0u);
    if (kRecordSize + extra + padded > static_cast<uint64_t>(end_ - at_)) return false;
    const unsigned flags = (r.key != 0 ? unsigned{kRecordKey} : 0u) |
                           (r.gap ? unsigned{kRecordGap} : 0u) |
                           (with_source ? unsigned{kRecordSource} : 0u);
    store_le(at_, r.len);
    store_le(at_ + 4, r.topic);
    store_le(at_ + 6, r.parts);
    store_le(at_ + 7, static_cast<uint8_t>(flags));
    store_le(at_ + 8, r.time);
    at_ += kRecordSize;
    if (r.key != 0) put(r.key);
    if (with_source) put(r.source);
    next_source_ = r.source + 1;
    if (r.len != 0) {
      store_le(at_ + padded - 8, uint64_t{0});  // the padding, before the bytes go over it
      copy_short(at_, r.bytes, r.len);
      at_ += padded;
    }
    return true;
  }

  // Bytes of the body so far.
  size_t size() const { return static_cast<size_t>(at_ - begin_); }
  bool empty() const { return size() == kBatchHeaderSize; }

 private:
  void put(uint64_t v) {
    store_le(at_, v);
    at_ += 8;
  }

  std::byte* begin_;
  std::byte* at_;
  std::byte* end_;
  uint64_t next_source_;
};

// The header of a BATCH body, or nothing when it is too short to hold one record.
inline std::optional<BatchHeader> parse_batch(std::span<const std::byte> body) {
  if (body.size() < kBatchHeaderSize + kRecordSize) return std::nullopt;
  const std::byte* p = body.data();
  return BatchHeader{load_le<uint32_t>(p), load_le<uint32_t>(p + 4), load_le<uint64_t>(p + 8),
                     load_le<uint64_t>(p + 16), load_le<uint64_t>(p + 24)};
}

// Walks the messages of a BATCH body that parse_batch has accepted:
//
//   BatchReader in(body);
//   Record r;
//   while (in.next(r)) place(r);
//   if (in.malformed()) drop(...);     // what came before was whole and stands
class BatchReader {
 public:
  explicit BatchReader(std::span<const std::byte> body)
      : first_(body.data() + kBatchHeaderSize), at_(first_), end_(body.data() + body.size()) {
    assert(body.size() >= kBatchHeaderSize);
    next_source_ = load_le<uint64_t>(body.data() + 24);
  }

  // The next message, or false: the end, or a record that is not well formed.
  bool next(Record& out) {
    const auto left = static_cast<uint64_t>(end_ - at_);
    if (left < kRecordSize) return stop(left != 0);
    const std::byte* p = at_;
    out.len = load_le<uint32_t>(p);
    out.topic = load_le<uint16_t>(p + 4);
    out.parts = load_le<uint8_t>(p + 6);
    const unsigned flags = load_le<uint8_t>(p + 7);
    out.time = load_le<uint64_t>(p + 8);
    out.gap = (flags & kRecordGap) != 0;
    const unsigned extra = (flags & kRecordKey ? 8u : 0u) + (flags & kRecordSource ? 8u : 0u);
    const uint64_t padded = (uint64_t{out.len} + 7) & ~uint64_t{7};
    if (kRecordSize + extra + padded > left) return stop(true);
    if (out.gap ? out.len != 0 : out.parts == 0) return stop(true);
    p += kRecordSize;
    out.key = 0;
    out.source = next_source_;
    if (flags != 0 && !read_extra(flags, p, out)) return stop(true);
    if ((out.len & 7) != 0) {
      const uint64_t last = load_le<uint64_t>(p + padded - 8);
      if (last >> (out.len & 7) * 8 != 0) return stop(true);
    }
    out.bytes = p;
    at_ = p + padded;
    next_source_ = out.source + 1;
    return true;
  }

  bool malformed() const { return malformed_; }

 private:
  bool stop(bool malformed) {
    malformed_ |= malformed;
    at_ = end_;
    return false;
  }

  // What the flags say follows; false when a flag is unknown or stands where it isn't needed.
  bool read_extra(unsigned flags, const std::byte*& p, Record& out) const {
    if ((flags & ~unsigned{kRecordKey | kRecordGap | kRecordSource}) != 0) return false;
    if ((flags & kRecordKey) != 0) {
      out.key = load_le<uint64_t>(p);
      p += 8;
      if (out.key == 0) return false;
    }
    if ((flags & kRecordSource) != 0) {
      out.source = load_le<uint64_t>(p);
      p += 8;
      if (out.source == next_source_ || at_ == first_) return false;
    }
    return true;
  }

  const std::byte* first_;
  const std::byte* at_;
  const std::byte* end_;
  uint64_t next_source_;
  bool malformed_ = false;
};

}  // namespace penstock
