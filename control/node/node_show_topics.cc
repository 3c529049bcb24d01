// What the node tells about topics and who wants them, as JSON.
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <set>

#include "control/node/node.h"
#include "control/node/show_text.h"
#include "dataplane/topic/filter.h"

namespace penstock {
namespace {

using nlohmann::json;

// Where a topic is.
struct Named {
  std::set<uint64_t> lanes;
  std::set<std::string> publishers;
};

json row(const char* from, uint64_t id, const std::string& name, Mode mode,
         const std::string& filter, const attach::Overflow& overflow, attach::PathPolicy path,
         const Came& came) {
  json r = {{"from", from},
            {"id", id},
            {"name", clean(name)},
            {"filter", clean(filter)},
            {"mode", mode == Mode::kGroup ? "group" : "broadcast"},
            {"policy", text(overflow.policy)},
            {"limit_messages", overflow.limit_messages},
            {"limit_bytes", overflow.limit_bytes},
            {"block_ns", overflow.block_ns},
            {"path", text(path)}};
  tell(r, came);
  return r;
}

}  // namespace

std::string Node::show_topics(std::string_view filter, size_t limit) {
  // One more than the limit says that there are more.
  std::map<std::string, Named> topics;
  for (const auto& [id, lane] : lanes_) {
    for (const std::string& name : lane->topics) {
      if (name.empty() || (!filter.empty() && !matches(filter, name))) continue;
      Named& t = topics[name];
      t.lanes.insert(id);
      if (lane->publisher != nullptr) t.publishers.insert(clean(lane->publisher->name));
      if (lane->peer != nullptr) t.publishers.insert("node " + clean(lane->peer->name));
      if (topics.size() > limit + 1) topics.erase(std::prev(topics.end()));
    }
  }
  const bool more = topics.size() > limit;
  if (more) topics.erase(std::prev(topics.end()));

  Trie<uint64_t> wanted;  // node ids, by what these want
  for (const auto& [id, p] : peers_)
    for (const auto& [key, interest] : p->interests)
      wanted.insert(interest.filter, id);
  Trie<const GroupRecord*> in_groups;
  for (const auto& [name, group] : groups_)
    in_groups.insert(name, group.get());

  json rows = json::array();
  for (const auto& [name, t] : topics) {
    uint32_t subscriptions = 0, groups = 0;
    std::set<uint64_t> nodes;
    broadcasts_.collect(name, [&](const Subscription*) { subscriptions++; });
    in_groups.collect(name, [&](const GroupRecord*) { groups++; });
    wanted.collect(name, [&](uint64_t id) { nodes.insert(id); });
    rows.push_back({{"topic", clean(name)},
                    {"lanes", t.lanes},
                    {"publishers", t.publishers},
                    {"subscriptions", subscriptions},
                    {"groups", groups},
                    {"nodes", nodes.size()}});
  }
  return write({{"topics", rows}, {"more", more}});
}

std::string Node::show_subscriptions(std::string_view topic, size_t limit) {
  json rows = json::array();
  bool more = false;
  const auto wanted = [&](const std::string& filter) {
    if (!topic.empty() && !matches(filter, topic)) return false;
    more = rows.size() >= limit;
    return !more;
  };
  for (const auto& [id, c] : clients_) {
    for (const auto& [sid, s] : c->subscriptions) {
      if (more || !wanted(s->filter)) continue;
      Came sum = s->came;
      for (const auto& [lane, r] : s->lanes)
        sum.add(came(*r));
      json r = row("client", id, c->name, s->mode, s->filter, s->overflow, s->path, sum);
      r["pending"] = s->waiting.has_value();
      r["lanes"] = s->lanes.size();
      rows.push_back(std::move(r));
    }
  }
  for (const auto& [id, p] : peers_) {
    for (const auto& [key, i] : p->interests) {
      if (more || !wanted(i.filter)) continue;
      json r = row("node", id, p->name, i.mode, i.filter, i.overflow, i.path, {});
      r["pending"] = !i.acknowledged;
      r["lanes"] = 0;
      rows.push_back(std::move(r));
    }
  }
  return write({{"subscriptions", rows}, {"more", more}});
}

}  // namespace penstock
