// Members: the store that the config names, and peers made of who is in it.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "control/config/config.h"
#include "control/daemon/network.h"
#include "control/events/events.h"
#include "control/membership/membership.h"

namespace penstock {

// Null: the config names none. The error is a sentence.
OrSentence<std::unique_ptr<store::Store>> open_store(const StoreOptions& options);

// The control thread's. What is in [[peer]] stays as it is there.
class Members {
 public:
  Members(const Config& config, uint64_t epoch, std::string version,
          std::unique_ptr<store::Store> store, Events& events);

  int events() const { return membership_.events(); }
  // New members become peers of the node. One that is gone is called as long as this node runs, as
  // one in [[peer]] is.
  void poll(Node& node, Network& network);

 private:
  void log(std::string text) { events_.note(EventName::kNote, std::move(text)); }

  const Config& config_;
  const uint64_t epoch_;
  Events& events_;
  Membership membership_;
  std::map<uint64_t, PeerOptions> peers_;
};

}  // namespace penstock
