// What nobody says by himself: looked at every second, raised when it begins and cleared when it is
// over.
#include <fmt/format.h>

#include "control/node/node.h"

namespace penstock {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kStuckNs = 5 * kSecond;   // without an answer
constexpr uint64_t kQuietNs = 10 * kSecond;  // what has not grown for so long is over
constexpr uint64_t kSlowNs = kSecond;        // that a reader held its publisher back, unmoved

bool grows(Growth& g, uint64_t count, uint64_t now) {
  const bool more = count > g.count;
  if (more) g.at = now;
  g.count = count;
  return more || (g.grows && now - g.at < kQuietNs);
}

}  // namespace

void Node::note(EventName name, std::string text) const {
  log_({.name = name, .change = Change::kNoted, .subject = {}, .text = std::move(text)});
}

void Node::raise(EventName name, std::string subject, std::string text) const {
  log_({.name = name,
        .change = Change::kRaised,
        .subject = std::move(subject),
        .text = std::move(text)});
}

void Node::clear(EventName name, std::string subject, std::string text) const {
  log_({.name = name,
        .change = Change::kCleared,
        .subject = std::move(subject),
        .text = std::move(text)});
}

// Subjects of events: by number, since names may be shared.
std::string Node::path_name(const PeerRecord& p, uint32_t path) {
  return fmt::format("node {} path {}", p.id, path);
}

std::string Node::reader_name(const ReaderRecord& r) {
  return fmt::format("lane {} reader {}", r.lane->id, r.index);
}

void Node::turn(bool is, bool& was, EventName name, const std::string& subject,
                const std::string& bad, const std::string& good) const {
  if (std::exchange(was, is) == is) return;
  if (is) {
    raise(name, subject, bad);
  } else {
    clear(name, subject, good);
  }
}

void Node::look_around(uint64_t now) {
  now_ = now;
  look_at_workers();
  look_at_ports();
  look_at_links();
  look_at_readers();
  look_at_slow_paths();
  look_at_drops();
}

void Node::look_at_workers() {
  for (uint32_t i = 0; i < workers_.size(); i++) {
    WorkerRecord& w = *workers_[i];
    const bool stuck = !w.answered && now_ - w.asked > kStuckNs;
    turn(stuck, w.stuck, EventName::kWorkerStuck, fmt::format("worker {}", i),
         fmt::format("worker {} has not come round for {} ms", i, (now_ - w.asked) / 1'000'000),
         fmt::format("worker {} comes round again", i));
    if (!w.answered) continue;
    w.answered = false;
    w.asked = now_;
    w.errands.send([](Worker&, uint64_t) {}, [&w] { w.answered = true; });
  }
}

void Node::look_at_ports() {
  for (PortRow& row : ports_) {
    Port& port = row.net->port();
    if (row.queue == 0) {
      const bool down = !port.link_up();
      turn(down, row.down, EventName::kPortDown, "port " + row.name,
           fmt::format("port {} is {}", row.name, row.status ? row.status() : "down"),
           fmt::format("port {} is up", row.name));
    }
    const uint64_t count = port.stats().no_buffers.read();
    turn(grows(row.no_buffers, count, now_), row.no_buffers.grows, EventName::kMemoryLow,
         fmt::format("port {} queue {}", row.name, row.queue),
         fmt::format("port {} found no free buffer, {} times so far on queue {}: raise "
                     "memory.buffers",
                     row.name, count, row.queue),
         fmt::format("port {} has buffers again on queue {}", row.name, row.queue));
  }
}

void Node::look_at_links() {
  for (auto& [id, p] : peers_) {
    for (uint32_t i = 0; i < p->paths.size(); i++) {
      PathRecord& path = p->paths[i];
      const bool suspect = path.up && path.path->link.stats().connected.load() == 0;
      if (suspect == path.suspect) continue;
      turn(suspect, path.suspect, EventName::kLinkSuspect, path_name(*p, i),
           fmt::format("node {} ({}) has no connection on path {}; its session waits", id, p->name,
                       i),
           fmt::format("node {} ({}) is no longer suspect on path {}", id, p->name, i));
    }
  }
}

void Node::look_at_readers() {
  for (auto& [lane_id, lane] : lanes_) {
    for (auto& [index, r] : lane->readers) {
      if (r->let_go() >= r->mark) {
        r->mark = lane->head();
        r->marked_at = now_;
      }
      if (r->subscription == nullptr) continue;
      const Subscription& s = *r->subscription;
      const bool slow = !r->evicted && r->held_since != 0 && now_ - r->held_since >= kSlowNs;
      if (slow == r->slow) continue;
      turn(slow, r->slow, EventName::kSlowReader, reader_name(*r),
           fmt::format("client {}, subscribed to {}, holds back {} (lane {})", s.client->name,
                       s.filter, lane->name, lane_id),
           fmt::format("client {}, subscribed to {}, goes on with {} (lane {})", s.client->name,
                       s.filter, lane->name, lane_id));
    }
  }
}

// Messages only: frames are repaired.
void Node::look_at_drops() {
  for (const auto& [why, count] : drops()) {
    if (!is_message(why)) continue;
    Growth& g = dropping_[why];
    turn(grows(g, count, now_), g.grows, EventName::kDropsStarted, penstock::text(why),
         fmt::format("messages are dropped: {}, {} so far", penstock::text(why), count),
         fmt::format("no more messages are dropped: {}, {} in all", penstock::text(why), count));
  }
}

}  // namespace penstock
