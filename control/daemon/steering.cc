#include "control/daemon/steering.h"

#include <algorithm>
#include <fmt/format.h>
#include <future>
#include <map>
#include <nlohmann/json.hpp>

#include "control/config/address.h"
#include "control/config/docs.h"
#include "control/daemon/observer.h"
#include "control/metrics/health.h"
#include "dataplane/topic/tenant.h"

namespace penstock {
namespace {

using nlohmann::json;

constexpr uint64_t kLongestDrain = 3'600'000'000'000;  // ns
constexpr size_t kUsualRows = 1000;
constexpr size_t kMostRows = 10'000;  // what the control thread takes time for at once

size_t limit_of(const json& request) {
  const size_t limit = request.value("limit", size_t{0});
  return limit == 0 ? kUsualRows : std::min(limit, kMostRows);
}

std::string endpoint(const IpAddress& address, uint16_t port) {
  return address.is_v6() ? fmt::format("[{}]:{}", format(address), port)
                         : fmt::format("{}:{}", format(address), port);
}

template <class Ports>
json endpoints(const Ports& ports) {
  json all = json::array();
  for (const auto& p : ports)
    all.push_back(endpoint(p.address, p.udp_port));
  return all;
}

std::vector<MemberPort> ports_of(const Config& config) {
  std::vector<MemberPort> all;
  for (const PortOptions& p : config.ports)
    all.push_back({p.address.address, p.udp_port});
  return all;
}

json row(const Member& m, bool self) {
  return {{"id", m.id},
          {"name", m.name},
          {"epoch", m.epoch},
          {"version", m.version},
          {"ports", endpoints(m.ports)},
          {"self", self}};
}

json reload_json(const std::string& file, bool applied, const Comparison& c) {
  json faults = json::array(), changes = json::array();
  for (const Diagnostic& d : c.faults)
    faults.push_back({{"file", d.file}, {"line", d.line}, {"key", d.key}, {"message", d.message}});
  for (const OptionChange& x : c.changes)
    changes.push_back({{"key", x.key}, {"running", x.before}, {"file", x.after}, {"live", x.live}});
  return {{"file", file},
          {"applied", applied && c.faults.empty()},
          {"faults", faults},
          {"changes", changes}};
}

const char* text(StoreKind kind) {
  switch (kind) {
    case StoreKind::kNone:
      return "none";
    case StoreKind::kStatic:
      return "static";
    case StoreKind::kSqlite:
      return "sqlite";
    case StoreKind::kEtcd:
      return "etcd";
  }
  return "";
}

json event_json(const Event& e) {
  static constexpr const char* kSeverities[] = {"info", "warning", "error"};
  return {{"number", e.number},
          {"unix_ns", e.unix_ns},
          {"name", row(e.name).name},
          {"change", text(e.change)},
          {"severity", kSeverities[static_cast<size_t>(e.severity())]},
          {"subject", e.subject},
          {"text", e.text},
          {"suppressed", e.suppressed}};
}

std::string written(const json& answer) {
  return answer.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

// Who is known from where, and how far its links are.
json Steering::nodes() const {
  const Config& config = parts_.config;
  const json self = json::parse(parts_.node.show("node"));
  json rows = json::array();
  rows.push_back({{"id", config.node.id},
                  {"name", config.node.name},
                  {"epoch", self["epoch"]},
                  {"version", self["version"]},
                  {"addresses", endpoints(ports_of(config))},
                  {"source", "self"},
                  {"state", "self"},
                  {"links", 0},
                  {"links_up", 0}});

  std::map<uint64_t, json> peers;
  for (const PeerOptions& p : config.peers)
    peers[p.id] = {{"name", p.name},
                   {"addresses", json::array({endpoint(p.address, p.udp_port)})},
                   {"source", "config"}};
  if (parts_.members != nullptr) {
    for (const auto& [id, m] : parts_.members->known()) {
      json& peer = peers[id];
      peer["source"] = peer.contains("source") ? "both" : "store";
      if (!peer.contains("name")) peer["name"] = m.name;
      peer["epoch"] = m.epoch;
      peer["version"] = m.version;
      peer["addresses"] = endpoints(m.ports);
    }
  }
  for (const json& link : json::parse(parts_.node.show("links"))) {
    json& peer = peers[link["peer_id"].get<uint64_t>()];
    if (!peer.contains("name")) peer["name"] = link["peer"];
    if (!peer.contains("source")) peer["source"] = "store";  // it was there once
    const std::string state = link["state"];
    const std::string so_far = peer.value("state", "connecting");
    peer["state"] = state == "up" || so_far == "up" ? "up"
                    : state == "reconnecting"       ? state
                                                    : so_far;
    peer["links"] = peer.value("links", 0) + 1;
    peer["links_up"] = peer.value("links_up", 0) + (state == "up" ? 1 : 0);
    peer["epoch"] = std::max(peer.value("epoch", uint64_t{0}), link["peer_epoch"].get<uint64_t>());
  }
  for (auto& [id, peer] : peers) {
    peer["id"] = id;
    if (!peer.contains("state")) peer["state"] = "no link";
    rows.push_back(std::move(peer));
  }
  return {{"nodes", rows}};
}

json Steering::members() const {
  const Config& config = parts_.config;
  json rows = json::array();
  if (parts_.members != nullptr) {
    const json self = json::parse(parts_.node.show("node"));
    rows.push_back(row({.id = config.node.id,
                        .name = config.node.name,
                        .ports = ports_of(config),
                        .epoch = self["epoch"],
                        .instance = "",
                        .version = self["version"]},
                       true));
    for (const auto& [id, m] : parts_.members->known())
      rows.push_back(row(m, false));
  }
  return {{"store", text(config.store.kind)},
          {"trouble", parts_.members != nullptr ? parts_.members->trouble() : ""},
          {"members", rows}};
}

json Steering::events(uint64_t from, size_t limit) const {
  std::vector<Event> found;
  const uint64_t next = parts_.events.read(from, limit, found);
  json events = json::array(), raised = json::array();
  for (const Event& e : found)
    events.push_back(event_json(e));
  for (const Event& e : parts_.events.raised())
    raised.push_back(event_json(e));
  return {{"epoch", parts_.epoch}, {"next", next}, {"events", events}, {"raised", raised}};
}

json Steering::health() const {
  const std::string snapshot = parts_.config.node.state_dir + "/members.snapshot";
  const auto checks =
      ready(parts_.node.numbers(), parts_.events, members_known(snapshot, parts_.members));
  json rows = json::array();
  for (const Check& c : checks)
    rows.push_back({{"name", c.name}, {"good", c.good}, {"text", c.text}});
  return {{"healthy", all_good(checks)}, {"checks", rows}};
}

// What changes nothing; and what is done at once.
ApiAnswer Steering::look(const std::string& call, const json& asked) const {
  Node& node = parts_.node;
  // The node's tables are the rows of the messages as they are.
  const auto table = [&](const char* name) {
    return fmt::format(R"({{"{}":{}}})", name, node.show(name));
  };
  if (call == "GetNode") return node.show("node");
  if (call == "GetTopology") return node.show("topology");
  if (call == "ListLanes") return table("lanes");
  if (call == "ListLinks") return table("links");
  if (call == "ListPorts") return table("ports");
  if (call == "ListClients") return table("clients");
  if (call == "ListDrops") return fmt::format(R"({{"dropped":{}}})", node.show("drops"));
  if (call == "ListNodes") return written(nodes());
  if (call == "ListMembers") return written(members());
  if (call == "ListTopics") {
    const std::string filter = asked.value("filter", "");
    if (!filter.empty() && !valid_tenant_filter(filter))
      return api_error(ApiFault::kInvalid, filter + " is no filter");
    return node.show_topics(filter, limit_of(asked));
  }
  if (call == "ListSubscriptions") {
    const std::string topic = asked.value("topic", "");
    if (!topic.empty() && !valid_tenant_topic(topic))
      return api_error(ApiFault::kInvalid, topic + " is no topic");
    return node.show_subscriptions(topic, limit_of(asked));
  }
  if (call == "GetConfig") return written({{"file", parts_.file}, {"toml", full(parts_.config)}});
  if (call == "ReloadConfig") return written(reload_json(parts_.file, true, parts_.reload()));
  if (call == "CheckHealth") return written(health());
  if (call == "ListEvents")
    return written(events(asked.value("from", uint64_t{0}), limit_of(asked)));
  return api_error(ApiFault::kUnknown, "no answer to " + call);
}

// The store's thread writes it, and takes as long as the store does.
Requests::Reply Steering::remove_member(uint64_t id) const {
  if (parts_.members == nullptr)
    return {api_error(ApiFault::kRefused,
                      "there is no store (store.kind): take it out of [[peer]] and restart")};
  auto asked = parts_.members->remove(id);
  if (!asked) return {api_error(ApiFault::kBusy, "the store is slow, and removals wait for it")};
  const auto done = std::make_shared<std::future<store::Result<uint64_t>>>(std::move(*asked));
  return {"", [done, id](Requests::Clock::time_point deadline) -> ApiAnswer {
            if (done->wait_until(deadline) != std::future_status::ready)
              return api_error(ApiFault::kTimeout, "the store does not answer in time");
            try {
              const auto epoch = done->get();
              if (!epoch) return api_error(ApiFault::kRefused, epoch.error().text);
              return written({{"id", id}, {"epoch", *epoch}});
            } catch (const std::future_error&) {
              return api_error(ApiFault::kGone, "the node is stopping");
            }
          }};
}

// Reading what may be megabytes of text is not the control thread's work.
Requests::Reply Steering::diff(const json& asked) const {
  return {"", [asked, running = parts_.config, own = parts_.file](Requests::Clock::time_point) {
            const bool given = asked.contains("toml");
            const std::string file = given ? asked.value("file", own) : own;
            const Loaded other = given ? parse(asked["toml"].get<std::string>(), file) : load(file);
            return ApiAnswer(written(reload_json(file, false, compare(running, other))));
          }};
}

Requests::Reply Steering::drain(const json& asked) const {
  const uint64_t ns = asked.value("timeout_ns", parts_.config.node.drain_ns);
  if (ns > kLongestDrain) return {api_error(ApiFault::kInvalid, "timeout_ns is more than an hour")};
  parts_.drain(ns);
  return {written({{"timeout_ns", ns}})};
}

Requests::Reply Steering::answer(const std::string& call, const std::string& request) try {
  const json asked = json::parse(request);
  if (call == "RemoveMember") return remove_member(asked.value("id", uint64_t{0}));
  if (call == "Drain") return drain(asked);
  if (call == "DiffConfig") return diff(asked);
  return {look(call, asked)};
} catch (const std::exception& e) {
  return {api_error(ApiFault::kRefused, fmt::format("{} failed: {}", call, e.what()))};
}

}  // namespace penstock
