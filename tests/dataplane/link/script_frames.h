// Frames as the words of a script, both ways. Packets count from 1 for the first after the set-up.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/dataplane/link/script_words.h"
#include "tests/support/scripted_peer.h"

namespace penstock::test {

// The last packet number of each direction before the script's first.
struct Numbering {
  uint64_t out = 0;
  uint64_t in = 0;
};

// A frame that the link sent.
struct FrameWords {
  using Fields = std::vector<std::pair<std::string, std::string>>;
  std::string type;
  Fields must;  // a script names these
  Fields may;   // and these when it likes

  std::string text() const;
  // Nothing when `words` say what it is; else what they do not.
  std::string differs(Words& words) const;
};

FrameWords describe(const TakenFrame& f, const Numbering& n);

// Byte `i` of the message that was published at `source`, in every script.
inline std::byte script_byte(uint64_t source, uint64_t i) {
  return static_cast<std::byte>(source * 31 + i);
}
Bytes script_message(uint64_t source, uint64_t len);

// A notice that so many messages will not come: "5:overrun*6", or "5:overrun" for one.
std::string gap_words(uint64_t position, uint64_t messages, uint64_t reason);
uint64_t drop_of(std::string_view reason);

// The body of a frame that the peer sends.
Bytes ack_body(Words& words, const Numbering& n);
Bytes batch_body(Words& words);
Bytes fragment_body(Words& words);

}  // namespace penstock::test
