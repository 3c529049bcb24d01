// Digest: over a whole message that goes in pieces, from the crc_part() of each, in any order. Kept
// by both ends of a link; no byte is read for it that the checksum of its frame does not read.
//
//   [ beginning, piece after piece ][ ... ][ a piece that came early ][ ... ]
//                                  ^ end_    rest_: such pieces, each as if zeros stood behind
//                                            it, up to the end of the message
#pragma once

#include <cstdint>
#include <optional>

#include "dataplane/wire/crc32c.h"

namespace penstock {

class Digest {
 public:
  // `part` of the bytes [offset, offset + len) of a message of `message_len`. Each byte once.
  void add(uint64_t offset, uint64_t len, uint32_t part, uint64_t message_len) {
    if (offset == end_) {
      beginning_ = crc_shift(beginning_, len) ^ part;
      end_ += len;
    } else {
      rest_ ^= crc_shift(part, message_len - offset - len);
    }
  }
  // Of the message, when all of it was added.
  uint32_t whole(uint64_t message_len) const {
    return crc_shift(beginning_, message_len - end_) ^ rest_;
  }

  // What the sender says that it is: the first word counts.
  void say(uint32_t digest) {
    if (!said_) said_digest_ = digest;
    said_ = true;
  }
  std::optional<uint32_t> said() const {
    return said_ ? std::optional(said_digest_) : std::nullopt;
  }

 private:
  uint64_t end_ = 0;
  uint32_t beginning_ = 0;
  uint32_t rest_ = 0;
  uint32_t said_digest_ = 0;
  bool said_ = false;
};

}  // namespace penstock
