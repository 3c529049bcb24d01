// Health: named checks, each a plain function of what the node counts and what is raised. They ask
// nobody and wait for nothing; whether peers are there is none of their business.
#pragma once

#include <string>
#include <vector>

#include "control/events/events.h"
#include "control/node/numbers.h"

namespace penstock {

struct Check {
  std::string name;
  bool good = true;
  std::string text;  // one sentence
};

// This process makes progress: else start it anew.
std::vector<Check> alive(const NodeNumbers& n);

// It can do its work: else send nobody here. `members_known`: from the store, or from the last good
// snapshot of it; true without a store.
std::vector<Check> ready(const NodeNumbers& n, const Events& events, bool members_known);

bool all_good(const std::vector<Check>& checks);

}  // namespace penstock
