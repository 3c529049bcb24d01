// What the tests of rights share: rules, and guests that ask for a tenant.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/control/node/peer_rig.h"

namespace penstock::test {

inline constexpr uint32_t kAll = 3, kPublish = 1, kSubscribe = 2;

inline Rule rule(std::string name, std::string tenant, std::string filter = "#",
                 uint32_t allow = kAll) {
  Rule r;
  r.name = std::move(name);
  r.tenant = std::move(tenant);
  r.filter = std::move(filter);
  r.allow.bits = allow;
  r.uid = getuid();
  return r;
}

inline Rule node_rule(std::string tenant, std::string filter, uint32_t allow) {
  Rule r = rule("far", std::move(tenant), std::move(filter), allow);
  r.uid.reset();
  r.node = HostilePeer::kSelf;
  return r;
}

class RightsOfANode : public PeerRig {
 protected:
  void rules(std::vector<Rule> all) { node->set_rights(Rights(std::move(all))); }
  // The peer has what is wished for, so that nobody waits for it.
  void hear(Guest& g) override {
    settle(2);
    for (const uint64_t key : std::exchange(peer.wishes, {}))
      say(peer::SubAck{.key = key});
    settle(4);
    while (g.hear()) {
    }
  }
  // Asks for the tenant, if it is not null, and says Hello.
  void enter(Guest& g, const char* tenant) {
    g.attach(*node, now);
    if (tenant != nullptr) {
      attach::Tenant asked;
      peer::set_text(asked.name, tenant);
      g.say(asked);
    }
    g.say(attach::Hello{});
    hear(g);
    g.say(attach::Mapped{});
    hear(g);
  }
  void publish(Guest& g, const char* name) {
    g.say(attach::Declare{.geometry = HostilePeer::kLane, .name = {}});
    hear(g);
    if (g.lanes.empty()) return;
    g.say(attach::Mapped{.lane_id = g.lanes[0].id});
    add_topic(g, name);
  }
  static std::string said(const Guest& g) {
    return g.errors.empty() ? std::string() : std::string(g.errors.back().text);
  }
  static Errc code(const Guest& g) {
    return g.errors.empty() ? Errc::kOk : static_cast<Errc>(g.errors.back().code);
  }
  size_t clients() { return show("clients").size(); }
};

}  // namespace penstock::test
