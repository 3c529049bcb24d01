// Rights: what the rules say. Asked when somebody comes, and when a topic or a subscription begins,
// never for a message. A value: one that is reloaded replaces the one before. Any thread, one at a
// time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "control/rights/rule.h"

namespace penstock {

// Who asks: a client, as the kernel knows its process, or a peer.
struct Principal {
  uint32_t uid = 0;
  std::vector<uint32_t> groups = {};  // all of them
  uint64_t node = 0;                  // not 0: a peer, and the rest means nothing
};

// How a client is let in.
struct Admission {
  std::string tenant;
  std::string rule;  // empty: there are no rules
};

class Rights {
 public:
  // No rules: every client may do everything in the default tenant, every peer in all of them.
  Rights() = default;
  explicit Rights(std::vector<Rule> rules) : rules_(std::move(rules)) {}

  bool any() const { return !rules_.empty(); }

  // By the first rule that is about the client and names the tenant that it asks for; by the first
  // of all that are about it when it asks for none ("").  The error is a sentence for the client.
  tl::expected<Admission, std::string> admit(const Principal& who, std::string_view asked) const;

  // Empty: `who` may. Else why not, and what rule would have to say so; at most 240 bytes. `name`
  // is the topic, or the filter, without its tenant; of kAdmin nothing.
  std::string refusal(const Principal& who, std::string_view tenant, Right right,
                      std::string_view name) const;

  // The rule of that name, null: there is none.
  const Rule* find(std::string_view name) const;

 private:
  std::vector<Rule> rules_;
};

}  // namespace penstock
