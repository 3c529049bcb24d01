#include "control/metrics/metrics.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <limits>

#include "control/metrics/huge_pages.h"

namespace penstock {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

constexpr auto kCounter = MetricType::Counter;
constexpr auto kGauge = MetricType::Gauge;

double seconds(uint64_t ns) {
  return static_cast<double>(ns) / 1e9;
}
double number(uint64_t n) {
  return static_cast<double>(n);
}

template <class T>
struct Row {
  const char* name;  // behind penstock_
  MetricType type;
  const char* help;
  double (*value)(const T&);
};

constexpr Row<NodeNumbers> kNode[] = {
    {"messages_published_total", kCounter, "Messages that clients of this node published.",
     [](const NodeNumbers& n) { return number(n.counted.published); }},
    {"published_bytes_total", kCounter,
     "Bytes that these took in their lanes' arenas, each from a multiple of 64 on.",
     [](const NodeNumbers& n) { return number(n.counted.published_bytes); }},
    {"gaps_total", kCounter, "Notices from peers that messages will not come.",
     [](const NodeNumbers& n) { return number(n.counted.gaps); }},
    {"large_copied_messages_total", kCounter,
     "Large messages from peers that came by frames, not by RDMA, and so were copied.",
     [](const NodeNumbers& n) { return number(n.counted.came.copied); }},
    {"large_copied_bytes_total", kCounter, "Bytes of these.",
     [](const NodeNumbers& n) { return number(n.counted.came.copied_bytes); }},
    {"credit_stalls_total", kCounter,
     "Times that a lane on its way to a peer waited for room there.",
     [](const NodeNumbers& n) { return number(n.counted.stalls); }},
    {"oldest_message_age_seconds", kGauge,
     "For how long at least the oldest message has waited for a reader, exact to a second.",
     [](const NodeNumbers& n) { return seconds(n.oldest_ns); }},
    {"clients", kGauge, "Clients that are attached.",
     [](const NodeNumbers& n) { return number(n.clients); }},
    {"subscriptions", kGauge, "Subscriptions of these.",
     [](const NodeNumbers& n) { return number(n.subscriptions); }},
    {"uptime_seconds", kGauge, "Since this node was started.",
     [](const NodeNumbers& n) { return seconds(n.uptime_ns); }},
};

using Worker = NodeNumbers::Worker;
constexpr Row<Worker> kWorker[] = {
    {"worker_turns_total", kCounter, "Turns of a worker's loop.",
     [](const Worker& w) { return number(w.turns); }},
    {"worker_busy_turns_total", kCounter, "Turns that did work.",
     [](const Worker& w) { return number(w.busy_turns); }},
    {"worker_sleeps_total", kCounter, "Times that it slept.",
     [](const Worker& w) { return number(w.sleeps); }},
    {"worker_busy_seconds_total", kCounter,
     "Time in turns that did work; its rate is how busy the worker is.",
     [](const Worker& w) { return seconds(w.busy_ns); }},
    {"worker_longest_turn_seconds", kGauge, "The longest of these since the start.",
     [](const Worker& w) { return seconds(w.longest_ns); }},
    {"worker_stuck", kGauge, "1: it has not come round for seconds.",
     [](const Worker& w) { return w.stuck ? 1.0 : 0.0; }},
};

using Port = NodeNumbers::Port;
constexpr Row<Port> kPort[] = {
    {"port_up", kGauge, "1: the port has a link.", [](const Port& p) { return p.up ? 1.0 : 0.0; }},
    {"port_received_frames_total", kCounter, "Frames that came.",
     [](const Port& p) { return number(p.rx_frames); }},
    {"port_received_bytes_total", kCounter, "Bytes of these.",
     [](const Port& p) { return number(p.rx_bytes); }},
    {"port_sent_frames_total", kCounter, "Frames that went.",
     [](const Port& p) { return number(p.tx_frames); }},
    {"port_sent_bytes_total", kCounter, "Bytes of these.",
     [](const Port& p) { return number(p.tx_bytes); }},
    {"port_receive_missed_total", kCounter, "Frames that came when there was no room for them.",
     [](const Port& p) { return number(p.rx_missed); }},
    {"port_receive_errors_total", kCounter, "Frames that came damaged.",
     [](const Port& p) { return number(p.rx_errors); }},
    {"port_send_errors_total", kCounter, "Frames that the device could not send.",
     [](const Port& p) { return number(p.tx_errors); }},
    {"port_no_buffers_total", kCounter, "Times that there was no free buffer for a frame to send.",
     [](const Port& p) { return number(p.no_buffers); }},
    {"port_buffers", kGauge, "Buffers of the port (mbufs).",
     [](const Port& p) { return number(p.buffers); }},
    {"port_buffers_free", kGauge, "Buffers that nobody uses.",
     [](const Port& p) { return number(p.buffers_free); }},
};

using Path = NodeNumbers::Path;
constexpr Row<Path> kPath[] = {
    {"link_up", kGauge, "1: the path has a session, and a connection.",
     [](const Path& p) { return p.up && p.connected ? 1.0 : 0.0; }},
    {"link_round_trip_seconds", kGauge, "Smoothed round trip.",
     [](const Path& p) { return seconds(p.rtt_ns); }},
    {"link_sent_packets_total", kCounter, "Packets that went to the peer.",
     [](const Path& p) { return number(p.packets_sent); }},
    {"link_sent_bytes_total", kCounter, "Bytes of these.",
     [](const Path& p) { return number(p.bytes_sent); }},
    {"link_received_packets_total", kCounter, "Packets that came from the peer.",
     [](const Path& p) { return number(p.packets_received); }},
    {"link_received_bytes_total", kCounter, "Bytes of these.",
     [](const Path& p) { return number(p.bytes_received); }},
    {"link_retransmitted_packets_total", kCounter, "Packets that carried something once more.",
     [](const Path& p) { return number(p.retransmitted); }},
    {"link_lost_packets_total", kCounter, "Packets that were given up.",
     [](const Path& p) { return number(p.lost); }},
    {"link_spurious_packets_total", kCounter, "Packets that were given up, and had arrived.",
     [](const Path& p) { return number(p.spurious); }},
    {"link_sessions_total", kCounter, "Sessions that began.",
     [](const Path& p) { return number(p.sessions); }},
    {"link_reconnects_total", kCounter, "Connections that a session went on with.",
     [](const Path& p) { return number(p.reconnects); }},
};

using Rail = NodeNumbers::Rail;
constexpr Row<Rail> kRail[] = {
    {"rdma_up", kGauge, "1: large messages go by it.",
     [](const Rail& r) { return r.up ? 1.0 : 0.0; }},
    {"rdma_bytes_per_second", kGauge, "What it carries, as measured.",
     [](const Rail& r) { return number(r.bytes_per_s); }},
    {"rdma_sent_messages_total", kCounter, "Messages, or parts of striped ones, that went by it.",
     [](const Rail& r) { return number(r.sent); }},
    {"rdma_sent_bytes_total", kCounter, "Bytes of these.",
     [](const Rail& r) { return number(r.bytes_sent); }},
    {"rdma_received_messages_total", kCounter, "Messages, or parts, that came by it.",
     [](const Rail& r) { return number(r.received); }},
    {"rdma_received_bytes_total", kCounter, "Bytes of these.",
     [](const Rail& r) { return number(r.bytes_received); }},
    {"rdma_copied_bytes_total", kCounter, "Bytes that were to go by it, and went by frames.",
     [](const Rail& r) { return number(r.copied_bytes); }},
    {"rdma_errors_total", kCounter, "Connections of it that failed.",
     [](const Rail& r) { return number(r.errors); }},
};

// Puts families together. A sum over what comes and goes is what it was at most; what belongs to
// one link or port may begin anew with that.
class Families {
 public:
  explicit Families(std::map<std::string, double>& highest) : highest_(highest) {}

  void begin(const char* name, MetricType type, const char* help) {
    all_.push_back(
        {.name = std::string("penstock_") + name, .help = help, .type = type, .metric = {}});
  }
  void add(double value, Labels labels = {}) {
    ClientMetric m;
    m.label = std::move(labels);
    m.counter.value = m.gauge.value = value;  // the family's type tells which
    all_.back().metric.push_back(std::move(m));
  }
  void add_sum(double value, Labels labels = {}) {
    std::string key = all_.back().name;
    for (const auto& l : labels)
      key += '\n' + l.value;
    double& highest = highest_[key];
    highest = std::max(highest, value);
    add(highest, std::move(labels));
  }
  void add_histogram(ClientMetric::Histogram h) {
    ClientMetric m;
    m.histogram = std::move(h);
    all_.back().metric.push_back(std::move(m));
  }
  template <class T, size_t N, class All, class LabelsOf>
  void table(const Row<T> (&rows)[N], const All& all, LabelsOf labels) {
    if (std::empty(all)) return;
    for (const Row<T>& r : rows) {
      begin(r.name, r.type, r.help);
      for (const T& one : all)
        add(r.value(one), labels(one));
    }
  }
  std::vector<MetricFamily> take() { return std::move(all_); }

 private:
  std::map<std::string, double>& highest_;
  std::vector<MetricFamily> all_;
};

// A peer is up when one of its paths is.
void add_peers(Families& f, const NodeNumbers& n) {
  std::map<uint64_t, int> best;  // by peer: 0 down, 1 suspect, 2 up
  for (const Path& p : n.paths) {
    int& b = best[p.peer_id];
    b = std::max(b, !p.up ? 0 : p.connected ? 2 : 1);
  }
  std::array<double, 3> count{};
  for (const auto& [id, state] : best)
    count[static_cast<size_t>(state)]++;
  f.begin("peers", kGauge, "Peers, by how they are reached.");
  constexpr const char* kText[] = {"down", "suspect", "up"};
  for (size_t s = 0; s < count.size(); s++)
    f.add(count[s], {{"state", kText[s]}});
}

// Clients count these, each in memory of its own: one that scribbles there falsifies its share.
void add_delays(Families& f, const NodeNumbers& n) {
  f.begin("delivery_seconds", MetricType::Histogram,
          "From send to the program that receives, of messages that their sender stamps, by the "
          "clocks of both hosts.");
  ClientMetric::Histogram h;
  for (uint32_t i = 0; i < kDelayBuckets; i++) {
    h.sample_count += n.counted.delays[i];
    const bool last = i + 1 == kDelayBuckets;
    h.bucket.push_back({.cumulative_count = h.sample_count,
                        .upper_bound = last ? std::numeric_limits<double>::infinity()
                                            : static_cast<double>(uint64_t{1} << i) / 1e6});
  }
  h.sample_sum = seconds(n.counted.delays_ns);
  f.add_histogram(std::move(h));
}

void add_messages(Families& f, const NodeNumbers& n) {
  f.begin(
      "messages_delivered_total", kCounter,
      "Messages that were taken: by clients, by links that have them at the peer, by groups for "
      "their members.");
  for (size_t t = 0; t < kTakers; t++)
    f.add_sum(number(n.counted.delivered[t]), {{"to", kTakerText[t]}});
  f.begin("in_flight_messages", kGauge, "Messages that wait for those.");
  for (size_t t = 0; t < kTakers; t++)
    f.add(number(n.in_flight[t]), {{"to", kTakerText[t]}});
  f.begin("drops_total", kCounter,
          "What was dropped here, by reason. Frames that were are sent again.");
  for (const auto& [why, count] : n.drops)
    f.add_sum(number(count),
              {{"reason", text(why)}, {"unit", is_message(why) ? "message" : "frame"}});
}

void add_memory(Families& f, const NodeNumbers& n) {
  f.begin("lanes", kGauge, "Lanes: of publishers here, mirrors of others', inboxes.");
  f.add(number(n.lanes), {{"kind", "lane"}});
  f.add(number(n.mirrors), {{"kind", "mirror"}});
  f.add(number(n.inboxes), {{"kind", "inbox"}});
  f.begin("lane_memory_bytes", kGauge, "Memory of all lanes.");
  f.add(number(n.lane_bytes), {{"pages", "normal"}});
  f.add(number(n.lane_huge_bytes), {{"pages", "huge"}});
  const auto sizes = huge_pages();
  if (sizes.empty()) return;
  f.begin("hugepages", kGauge, "Huge pages that this machine has.");
  for (const HugePageCount& s : sizes)
    f.add(number(s.all), {{"size", s.size}});
  f.begin("hugepages_free", kGauge, "Huge pages that nobody uses.");
  for (const HugePageCount& s : sizes)
    f.add(number(s.free), {{"size", s.size}});
}

void add_events(Families& f, const Events& events) {
  const auto each = [&](const char* name, MetricType type, const char* help, auto value) {
    f.begin(name, type, help);
    for (size_t i = 0; i < kEventNames; i++)
      f.add(number(value(static_cast<EventName>(i))), {{"event", std::string(kEvents[i].name)}});
  };
  each("events_total", kCounter, "Events that were raised or noted.",
       [&](EventName e) { return events.happened(e); });
  each("events_suppressed_total", kCounter, "Events of which nobody was told, being too many.",
       [&](EventName e) { return events.suppressed(e); });
  std::array<uint64_t, kEventNames> raised{};
  for (const Event& e : events.raised())
    raised[static_cast<size_t>(e.name)]++;
  each("events_raised", kGauge, "Events that are raised now.",
       [&](EventName e) { return raised[static_cast<size_t>(e)]; });
}

}  // namespace

std::vector<MetricFamily> Metrics::collect(const NodeNumbers& n, const Events& events) {
  Families f(highest_);
  f.begin("build_info", kGauge, "Always 1; the version is the label.");
  f.add(1, {{"version", self_.version}});
  f.begin("node_info", kGauge, "Always 1; who this is stands in the labels.");
  f.add(1, {{"id", fmt::format("{}", self_.id)},
            {"name", self_.name},
            {"epoch", fmt::format("{}", self_.epoch)}});
  add_messages(f, n);
  add_delays(f, n);
  for (const Row<NodeNumbers>& r : kNode) {
    f.begin(r.name, r.type, r.help);
    r.type == kCounter ? f.add_sum(r.value(n)) : f.add(r.value(n));
  }
  add_memory(f, n);
  f.table(kWorker, n.workers, [&n](const Worker& w) {
    return Labels{{"worker", fmt::format("{}", &w - n.workers.data())}};
  });
  f.table(kPort, n.ports, [](const Port& p) { return Labels{{"port", p.name}}; });
  add_peers(f, n);
  f.table(kPath, n.paths, [](const Path& p) {
    return Labels{{"peer", p.peer},
                  {"peer_id", fmt::format("{}", p.peer_id)},
                  {"path", fmt::format("{}", p.path)}};
  });
  f.table(kRail, n.rails, [](const Rail& r) {
    return Labels{{"peer", r.peer},
                  {"peer_id", fmt::format("{}", r.peer_id)},
                  {"path", fmt::format("{}", r.path)},
                  {"rail", fmt::format("{}", r.rail)},
                  {"device", r.device}};
  });
  if (self_.has_store) {
    f.begin("store_up", kGauge, "1: the store answers as it should.");
    f.add(events.is_raised(EventName::kStoreUnreachable) ? 0 : 1);
  }
  add_events(f, events);
  return f.take();
}

}  // namespace penstock
