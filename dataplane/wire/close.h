// CLOSE: this path ends, and why. Layout: FORMAT.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/wire/bytes.h"

namespace penstock {

inline constexpr size_t kCloseSize = 8;

enum class LinkClose : uint32_t {
  kStopped = 1,     // the node stops
  kVersion = 2,     // I speak another protocol: `detail` names it
  kUnknown = 3,     // I know no such connection: say HELLO again
  kReplaced = 4,    // a newer epoch of the peer has taken the path
  kSilent = 5,      // nothing was heard for too long
  kMisbehaved = 6,  // a well-formed frame that breaks the protocol; reserved: nobody says it yet
};

// The text of a reason, never null.
constexpr const char* text(LinkClose why) {
  constexpr const char* kText[] = {"node stopped",       "protocol version mismatch",
                                   "unknown connection", "replaced by a newer epoch",
                                   "peer silent",        "peer broke the protocol"};
  const auto i = static_cast<uint32_t>(why) - 1;
  return i < sizeof kText / sizeof *kText ? kText[i] : "unknown reason";
}

struct Close {
  LinkClose reason = LinkClose::kStopped;
  uint32_t detail = 0;  // kVersion: the protocol that the sender speaks; else 0

  bool operator==(const Close&) const = default;
};

// Writes to the first kCloseSize bytes of `out`, which has room for them.
inline void write_close(const Close& c, std::span<std::byte> out) {
  store_le(out.data(), static_cast<uint32_t>(c.reason));
  store_le(out.data() + 4, c.detail);
}

// The body of a CLOSE frame, or nothing. A reason that is not in the list stays as it came.
inline std::optional<Close> parse_close(std::span<const std::byte> body) {
  if (body.size() != kCloseSize) return std::nullopt;
  return Close{static_cast<LinkClose>(load_le<uint32_t>(body.data())),
               load_le<uint32_t>(body.data() + 4)};
}

}  // namespace penstock
