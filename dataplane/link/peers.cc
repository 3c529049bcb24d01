#include "dataplane/link/peers.h"

#include "dataplane/link/link.h"

namespace penstock {

void Peers::add(Link* link) {
  links_.push_back(link);
  link->relay_.set_peers(this);
}

void Peers::remove(Link* link) {
  link->relay_.end();
  link->relay_.set_peers(nullptr);
  std::erase(links_, link);
}

Link* Peers::to(uint64_t node) const {
  for (Link* l : links_)
    if (l->config().peer_id == node && l->up()) return l;
  return nullptr;
}

Link* Peers::with(uint32_t connection) const {
  for (Link* l : links_)
    if (l->connection() == connection && l->up()) return l;
  return nullptr;
}

void Peers::forget(const InLane* lane) {
  for (Link* l : links_)
    l->relay_.forget(lane);
}

void Peers::news(const InLane* lane) {
  for (Link* l : links_)
    l->relay_.look_at(lane);
}

}  // namespace penstock
