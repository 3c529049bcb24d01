#include "control/daemon/observer.h"

#include <filesystem>

namespace penstock {

tl::expected<std::unique_ptr<Observer>, std::string> Observer::open(const Config& config,
                                                                    uint64_t epoch,
                                                                    std::string version) {
  if (config.metrics.listen.empty()) return std::unique_ptr<Observer>();
  auto server = MetricsServer::open(config.metrics.listen);
  if (!server) return tl::unexpected(server.error());
  return std::unique_ptr<Observer>(
      new Observer(std::move(*server),
                   {.id = config.node.id,
                    .epoch = epoch,
                    .name = config.node.name,
                    .version = std::move(version),
                    .has_store = config.store.kind != StoreKind::kNone},
                   config.node.state_dir + "/members.snapshot"));
}

bool members_known(const std::string& snapshot, const Members* members) {
  std::error_code ec;
  return members == nullptr || members->complete() || std::filesystem::exists(snapshot, ec);
}

void Observer::report(const Node& node, const Events& events, const Members* members) {
  const NodeNumbers n = node.numbers();
  server_->publish({.metrics = metrics_.collect(n, events),
                    .alive = alive(n),
                    .ready = ready(n, events, members_known(snapshot_, members))});
}

}  // namespace penstock
