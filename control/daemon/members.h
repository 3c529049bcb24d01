// Members: the store that the config names, and peers made of who is in it.
#pragma once

#include <future>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "control/config/config.h"
#include "control/daemon/network.h"
#include "control/events/events.h"
#include "control/membership/membership.h"
#include "control/membership/roster.h"

namespace penstock {

// Null: the config names none. The error is a sentence.
OrSentence<std::unique_ptr<store::Store>> open_store(const StoreOptions& options);

// The control thread's; see Roster.
class Members {
 public:
  Members(const Config& config, uint64_t epoch, std::string version,
          std::unique_ptr<store::Store> store, Events& events);

  int events() const { return membership_.events(); }
  // New members become peers of the node; those that are gone or removed leave it; who has moved is
  // called where it is. `now` in ns, monotonic.
  void poll(Node& node, Network& network, uint64_t now);
  // Any thread; see Membership.
  std::optional<std::future<store::Result<uint64_t>>> remove(uint64_t id) {
    return membership_.remove(id);
  }
  void drain() { membership_.drain(); }

  // The members as the store has them, by id, this node not among them, and what is wrong with it.
  const std::map<uint64_t, Member>& known() const { return roster_.known(); }
  const std::string& trouble() const { return store_trouble_.empty() ? trouble_ : store_trouble_; }
  // The store was heard at least once.
  bool complete() const { return complete_; }

 private:
  class Ports;

  const Config& config_;
  const uint64_t epoch_;
  Events& events_;
  Membership membership_;
  Roster roster_;
  std::set<uint64_t> heard_;
  uint64_t next_look_ = 0;
  std::string store_trouble_, trouble_;
  bool complete_ = false;
};

}  // namespace penstock
