// Observer: what the node shows to whoever watches it from outside, when metrics.listen is set.
#pragma once

#include <memory>

#include "control/config/config.h"
#include "control/daemon/members.h"
#include "control/events/events.h"
#include "control/metrics/metrics.h"
#include "control/metrics/server.h"
#include "control/node/node.h"

namespace penstock {

// The members are known: from the store, or from the snapshot of it in this file.
bool members_known(const std::string& snapshot, const Members* members);

// The control thread's.
class Observer {
 public:
  // Null: nobody is to be told. The error is a sentence.
  static tl::expected<std::unique_ptr<Observer>, std::string> open(const Config& config,
                                                                   uint64_t epoch,
                                                                   std::string version);

  // Every second, after node.look_around().
  void report(const Node& node, const Events& events, const Members* members);

 private:
  Observer(std::unique_ptr<MetricsServer> server, Identity self, std::string snapshot)
      : server_(std::move(server)), metrics_(std::move(self)), snapshot_(std::move(snapshot)) {}

  std::unique_ptr<MetricsServer> server_;
  Metrics metrics_;
  const std::string snapshot_;  // of the store, as a file
};

}  // namespace penstock
