// What the node tells about itself, as JSON: the CLI's tables are made of it. Numbers come from the
// counters and words that their owners publish; nobody is stopped to read them.
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "control/node/node.h"
#include "control/node/show_text.h"

namespace penstock {
namespace {

using nlohmann::json;

const char* reason(CloseReason r) {
  switch (r) {
    case CloseReason::kOpen:
      return "";
    case CloseReason::kPublisherLeft:
      return "publisher left";
    case CloseReason::kPublisherDied:
      return "publisher died";
    case CloseReason::kPeerDown:
      return "peer down";
    case CloseReason::kNodeStopped:
      return "node stopped";
  }
  return "";
}

// A session that is up may just have no connection.
const char* link_state(bool up, bool connected) {
  if (!up) return "connecting";
  return connected ? "up" : "reconnecting";
}

json drops_of(const std::map<Drop, uint64_t>& dropped) {
  json j = json::object();
  for (const auto& [why, n] : dropped)
    if (n != 0) j[text(why)] = n;
  return j;
}

json totals_of(const Totals& t) {
  return {{"sent", t.sent}, {"delivered", t.delivered}, {"dropped", drops_of(t.dropped)}};
}

const char* mode_of(const ReaderRecord& r) {
  if (r.evicted) return "evicted";
  if (r.subscription == nullptr) return "reliable";
  const attach::Policy policy = r.subscription->overflow.policy;
  return policy == attach::Policy::kBlock ? "reliable" : text(policy);
}

std::string endpoint(const IpAddress& ip, uint16_t port) {
  return ip.is_v6() ? fmt::format("[{}]:{}", format(ip), port)
                    : fmt::format("{}:{}", format(ip), port);
}

const char* state_of(const RdmaRecord& r) {
  static constexpr const char* kStates[] = {"down", "connecting", "connecting", "ending"};
  if (r.refused) return "refused";
  return r.works() ? "up" : kStates[static_cast<size_t>(r.state)];
}

// What goes beside the link, in all and by rail. Up: by one, at least; "none": it has no device.
json rdma_row(const PathRecord& path) {
  const RailsStats& all = path.rails->stats();
  const PutRelayStats& passed = path.rails->relay().stats();
  json sum = {{"state", "none"},
              {"device", ""},
              {"striped", all.striped.read()},
              {"by_frames", all.by_frames.read()},
              {"full", all.full.read()},
              {"passed_on", passed.passed.read()},
              {"passed_on_bytes", passed.passed_bytes.read()},
              {"places_revoked", passed.revoked.read()},
              {"rails", json::array()}};
  std::map<std::string, uint64_t> total = {
      {"messages_sent", 0},  {"bytes_sent", 0}, {"messages_received", 0},
      {"bytes_received", 0}, {"sent_again", 0}, {"copied_bytes", 0},
      {"errors", 0}};
  for (const auto& r : path.rdma) {
    const RdmaPathStats& s = r->path.stats();
    const std::map<std::string, uint64_t> row = {{"messages_sent", s.puts.read()},
                                                 {"bytes_sent", s.put_bytes.read()},
                                                 {"messages_received", s.taken.read()},
                                                 {"bytes_received", s.taken_bytes.read()},
                                                 {"sent_again", s.again.read()},
                                                 {"copied_bytes", s.again_bytes.read()},
                                                 {"errors", s.errors.read()}};
    for (const auto& [key, value] : row)
      total[key] += value;
    json rail = row;
    rail["state"] = state_of(*r);
    rail["device"] = r->fabric.name;
    rail["bytes_per_second"] = s.bytes_per_s.load();
    const bool first = sum["rails"].empty();
    if (first || r->works()) sum["state"] = rail["state"];
    sum["device"] = (first ? "" : sum["device"].get<std::string>() + ",") + r->fabric.name;
    sum["rails"].push_back(std::move(rail));
  }
  sum.update(total);
  return sum;
}

}  // namespace

// A reader's own view: what it was sent, took, lost, and has before it.
std::string Node::show_lanes() {
  json all = json::array();
  for (const auto& [id, lane] : lanes_) {
    json readers = json::array();
    for (const auto& [index, r] : lane->readers) {
      const Totals t = totals(*r);
      json row = totals_of(t);
      row["start"] = r->start;
      row["mode"] = mode_of(*r);
      row["in_flight"] = t.in_flight;
      row["filter"] = "";
      if (r->subscription != nullptr) {
        row["who"] = clean(r->subscription->client->name);
        row["kind"] = "client";
        row["filter"] = clean(r->subscription->filter);
      } else if (r->forward != nullptr) {
        row["who"] = "node " + clean(r->forward->peer->name);
        row["kind"] = "link";
        if (r->forward->forward != nullptr) {
          const OutLaneStats& s = r->forward->forward->out().stats();
          row["link"] = {{"sent", s.sent.read()},
                         {"delivered", s.delivered.read()},
                         {"in_flight", s.in_flight()},
                         {"retransmitted", s.retransmitted.read()},
                         {"skipped", r->forward->forward->skipped().read()}};
          if (const ChainSeat* seat = r->forward->forward->seat()) {
            row["link"]["announced"] = seat->stats().announced.read();
            row["link"]["fell_back"] = seat->stats().fell_back.read();
          }
        }
      } else if (r->source != nullptr) {
        row["who"] = "group " + clean(r->source->group->filter);
        row["kind"] = "group";
        row["filter"] = clean(r->source->group->filter);
        if (r->source->source != nullptr) {
          row["dispatched"] = r->source->source->dispatched().read();
          row["skipped"] = r->source->source->skipped().read();
        }
      }
      readers.push_back(std::move(row));
    }
    json names = json::array();
    uint32_t topics = 0;
    for (const std::string& t : lane->topics) {
      if (t.empty()) continue;
      topics++;
      if (names.size() < 8) names.push_back(clean(t));
    }
    std::string owner;
    if (lane->publisher != nullptr) owner = clean(lane->publisher->name);
    if (lane->inbox_of != nullptr) owner = clean(lane->inbox_of->client->name);
    if (lane->peer != nullptr) owner = "node " + clean(lane->peer->name);
    static constexpr const char* kKinds[] = {"lane", "mirror", "inbox"};
    json row = {{"id", id},
                {"name", clean(lane->name)},
                {"kind", kKinds[static_cast<size_t>(lane->kind)]},
                {"owner", owner},
                {"epoch", lane->epoch},
                {"ring", lane->geometry.ring_size()},
                {"arena", lane->geometry.arena_size()},
                {"topics", topics},
                {"topic_names", names},
                {"sent", lane->head()},
                // What the publisher has taken of the arena: in steps of a sixteenth of it.
                {"bytes", lane->header()->reserved.load()},
                {"worker", lane->worker},
                {"closed", reason(lane->reason)},
                {"readers", readers},
                {"left", totals_of(lane->left)}};
    if (lane->peer != nullptr) row["origin"] = lane->origin_lane;
    if (lane->in != nullptr) {
      const InLaneStats& s = lane->in->stats();
      row["link"] = {
          {"delivered", s.delivered.read()},      {"gaps", s.gaps.read()},
          {"duplicates", s.duplicates.read()},    {"out_of_order", s.out_of_order.read()},
          {"malformed", s.malformed.read()},      {"by_rdma", s.put.read()},
          {"by_rdma_bytes", s.put_bytes.read()},  {"copied", s.copied.read()},
          {"copied_bytes", s.copied_bytes.read()}};
    }
    all.push_back(std::move(row));
  }
  return write(all);
}

std::string Node::show_links() {
  json all = json::array();
  for (const auto& [id, p] : peers_) {
    for (uint32_t i = 0; i < p->paths.size(); i++) {
      const PathRecord& path = p->paths[i];
      const LinkPath& l = *path.path;
      const LinkStats& s = l.link.stats();
      const RelayStats& r = l.link.relay_stats();
      json drops = json::object();
      size_t out = 0, in = 0;
      Came came = path.came;
      for (const auto& [lane_id, lane] : lanes_) {
        const bool ours = lane->peer == p.get() && lane->path == i;
        in += ours ? 1 : 0;
        if (ours) came.add(lane->came());
        for (const auto& f : lane->forwards)
          out += f->peer == p.get() && f->path_index == i ? 1 : 0;
      }
      for (size_t d = 0; d < kDrops; d++)
        if (const uint64_t n = s.drops.by_reason[d].read(); n != 0)
          drops[text(static_cast<Drop>(d))] = n;
      all.push_back({{"peer", clean(p->name)},
                     {"peer_id", id},
                     {"path", i},
                     {"worker", path.worker},
                     {"port", path.port},
                     {"local", path.local},
                     {"remote", endpoint(l.config.remote, l.config.remote_udp)},
                     {"state", link_state(path.up, s.connected.load() != 0)},
                     {"peer_epoch", p->epoch},
                     {"up_ns", path.up ? now_ - path.up_since : 0},
                     {"rtt_ns", s.srtt_ns.load()},
                     {"rtt_min_ns", s.min_rtt_ns.load()},
                     {"packets_sent", s.tx_frames.read()},
                     {"packets_received", s.rx_frames.read()},
                     {"bytes_sent", s.tx_bytes.read()},
                     {"bytes_received", s.rx_bytes.read()},
                     {"retransmitted", s.retransmitted.read()},
                     {"lost", s.lost.read()},
                     {"spurious", s.spurious.read()},
                     {"duplicates", s.duplicates.read()},
                     {"in_flight", s.in_flight.load()},
                     {"window", s.window.load()},
                     {"rerouted", s.rerouted.read()},
                     {"frame", s.frame.load()},
                     {"narrowed", s.narrowed.read()},
                     {"marked", s.marked.read()},
                     {"probes", s.probes.read()},
                     {"stalls", s.stalls.read()},
                     {"sessions", s.sessions.read()},
                     {"reconnects", s.reconnects.read()},
                     {"lanes_out", out},
                     {"lanes_in", in},
                     {"relayed_out", r.bytes_out.read()},
                     {"relayed_in", r.bytes_in.read()},
                     {"relays_refused", r.refused.read()},
                     {"relays_gone", r.gone.read()},
                     {"relayed_unexpected", r.unexpected.read()},
                     {"rdma", rdma_row(path)},
                     {"corrupt", s.drops.read(Drop::kBadChecksum)},
                     {"drops", drops}});
      tell(all.back(), came);
    }
  }
  return write(all);
}

std::string Node::show_ports() {
  json all = json::array();
  for (const PortRow& row : ports_) {
    Port& port = row.net->port();
    const PortInfo& info = port.info();
    const PortStats& s = port.stats();
    MacAddress mac;
    mac.bytes = info.mac;
    const bool up = port.link_up();
    const DeviceLosses lost = row.losses ? row.losses() : DeviceLosses{};
    all.push_back({{"name", row.name},
                   {"device", row.device},
                   {"mac", format(mac)},
                   {"address", row.address},
                   {"mtu", row.mtu},
                   {"link_up", up},
                   {"status", row.status ? row.status()
                              : up       ? "up"
                                         : "down"},
                   {"worker", row.worker},
                   {"queue", row.queue},
                   {"zero_copy", info.chains && !row.copies},
                   {"rx_frames", s.rx_frames.read()},
                   {"rx_bytes", s.rx_bytes.read()},
                   {"tx_frames", s.tx_frames.read()},
                   {"tx_bytes", s.tx_bytes.read()},
                   {"tx_full", s.tx_full.read()},
                   {"tx_linearized", s.tx_linearized.read()},
                   {"rx_linearized", s.rx_linearized.read()},
                   {"rx_missed", s.rx_missed.read() + lost.rx_missed},
                   {"rx_errors", lost.rx_errors},
                   {"tx_errors", lost.tx_errors},
                   {"no_buffers", s.no_buffers.read()}});
  }
  return write(all);
}

std::string Node::show_clients() {
  json all = json::array();
  for (const auto& [id, c] : clients_) {
    json subscriptions = json::array();
    size_t read = 0;
    for (const auto& [sid, s] : c->subscriptions) {
      read += s->lanes.size();
      subscriptions.push_back({{"filter", clean(s->filter)},
                               {"mode", s->mode == Mode::kGroup ? "group" : "broadcast"}});
    }
    all.push_back({{"id", id},
                   {"name", clean(c->name)},
                   {"pid", c->session->who().pid},
                   {"uid", c->session->who().uid},
                   {"tenant", c->rule.empty() ? "" : c->tenant},
                   {"rule", c->rule},
                   {"publishers", c->lanes.size()},
                   {"subscriptions", subscriptions},
                   {"lanes_written", c->lanes.size()},
                   {"lanes_read", read}});
  }
  return write(all);
}

// Everything that was dropped here, under its reason: frames at ports and links, messages of
// readers that are here and that were.
std::map<Drop, uint64_t> Node::drops() const {
  std::map<Drop, uint64_t> sum;
  const auto add = [&](const DropCounters& c) {
    for (size_t d = 1; d < kDrops; d++)
      sum[static_cast<Drop>(d)] += c.by_reason[d].read();
  };
  for (const PortRow& row : ports_)
    add(row.net->drops());
  const auto add_links = [&](const PeerRecord& p) {
    for (const PathRecord& path : p.paths)
      add(path.path->link.stats().drops);
  };
  for (const auto& [id, p] : peers_)
    add_links(*p);
  for (const auto& p : leaving_)
    add_links(*p);
  Totals t = left_;
  for (const auto& [id, lane] : lanes_) {
    t.add(lane->left);
    for (const auto& [index, r] : lane->readers)
      t.add(totals(*r));
  }
  for (const auto& [why, n] : t.dropped)
    sum[why] += n;
  return sum;
}

std::string Node::show_drops() {
  json j = json::object();
  for (const auto& [why, n] : drops())
    j[text(why)] = n;
  return write(j);
}

std::string Node::show_node() {
  json workers = json::array();
  for (uint32_t i = 0; i < workers_.size(); i++) {
    const WorkerStats& s = workers_[i]->worker.stats();
    workers.push_back({{"id", i},
                       {"idle", config_.workers[i].mode == IdleMode::kSpin ? "spin" : "adaptive"},
                       {"turns", s.turns.read()},
                       {"work", s.busy_turns.read()},
                       {"sleeps", s.sleeps.read()}});
  }
  size_t links = 0;
  for (const auto& [id, p] : peers_)
    links += p->paths.size();
  const json j = {{"id", config_.id},
                  {"name", clean(config_.name)},
                  {"epoch", config_.epoch},
                  {"version", PENSTOCK_VERSION},
                  {"pid", getpid()},
                  {"uptime_ns", now_ - started_},
                  {"hugepages", std::any_of(lanes_.begin(), lanes_.end(),
                                            [](const auto& l) { return l.second->memory.huge(); })},
                  {"workers", workers},
                  {"clients", clients_.size()},
                  {"lanes", lanes_.size()},
                  {"links", links}};
  return write(j);
}

std::string Node::show(std::string_view question) {
  if (question.starts_with("show ")) question.remove_prefix(5);
  if (question == "lanes") return show_lanes();
  if (question == "links") return show_links();
  if (question == "ports") return show_ports();
  if (question == "clients") return show_clients();
  if (question == "drops") return show_drops();
  if (question == "node") return show_node();
  if (question == "topology") return topology_;
  return write({{"error", fmt::format("unknown query: show {}; there are lanes, links, ports, "
                                      "clients, drops, node, topology",
                                      clean(question))}});
}

}  // namespace penstock
