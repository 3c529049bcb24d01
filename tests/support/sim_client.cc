#include "tests/support/sim_client.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#include "tests/support/sim_client_reading.h"

namespace penstock::test {

SimClient::SimClient(ClusterLedger& ledger, const Where& where, uint64_t seed, uint64_t now)
    : ledger_(ledger), where_(where), random_(seed) {
  guest_.attach(where.node, now);
  request_ = guest_.say(attach::Hello{});
}

// Perhaps inside a message, which then was never sent.
SimClient::~SimClient() {
  for (const auto& s : senders_)
    if (s->topics != 0 && random_.chance(50))
      if (std::byte* to = s->writer.loan(100); to != nullptr) std::memset(to, 0xff, 50);
  for (const auto& r : receivers_)
    ledger_.ended(r->id, true);
}

void SimClient::declare(bool pusher) {
  wishes_.push_back({.kind = Wish::kDeclare, .pusher = pusher, .filter = {}});
}

void SimClient::subscribe(ClusterLedger::Mode mode, std::string_view filter, bool zero_copy) {
  wishes_.push_back({.kind = Wish::kSubscribe,
                     .zero_copy = zero_copy,
                     .mode = mode,
                     .filter = std::string(filter)});
}

void SimClient::leave_one() {
  wishes_.push_back({.kind = Wish::kLeave, .filter = {}});
}

// Publishers call their lanes by the ledger's names for them.
uint64_t SimClient::publisher_of(const attach::Join& m) {
  return m.inbox != 0 ? 0 : std::strtoull(m.publisher + 1, nullptr, 10);
}

void SimClient::hear() {
  for (;;) {
    Heard& h = inbox_.emplace_back();
    if (!guest_.receive(h.packet)) break;
    const auto* m = h.packet.as<attach::Join>();
    if (m == nullptr || m->inbox != 0) continue;
    // A Join comes before the Subscribed that tells whose it is.
    const Receiver* r = find(m->subscription);
    if (r == nullptr && !receivers_.empty() && receivers_.back()->subscription == 0)
      r = receivers_.back().get();
    if (r != nullptr) h.standing = ledger_.standing(r->id, publisher_of(*m));
  }
  inbox_.pop_back();
}

uint32_t SimClient::turn(const Pace& pace) {
  uint32_t work = 0;
  for (; !inbox_.empty(); inbox_.pop_front(), work++)
    handle(inbox_.front());
  if (attached_ && request_ == 0 && !wishes_.empty()) {
    ask();
    work++;
  }
  for (const auto& s : senders_)
    work += publish(*s, pace);
  for (const auto& r : receivers_)
    work += read(*r, pace);
  return work;
}

SimClient::Receiver* SimClient::find(uint64_t subscription) {
  for (const auto& r : receivers_)
    if (r->subscription == subscription) return r.get();
  return nullptr;
}

void SimClient::handle(Heard& heard) {
  Guest::Heard& packet = heard.packet;
  if (packet.as<attach::Reader>() != nullptr) {
    reader_came(packet);
  } else if (const auto* gone = packet.as<attach::ReaderGone>()) {
    reader_gone(*gone);
  } else if (const auto* m = packet.as<attach::Join>()) {
    join(packet, *m);
    for (const auto& r : receivers_)
      if (!r->lanes.empty() && r->lanes.back()->join.lane_id == m->lane_id &&
          r->lanes.back()->join.generation == m->generation)
        r->lanes.back()->standing = heard.standing;
  } else if (const auto* end = packet.as<attach::Ended>()) {
    ended(*end);
  } else if (const auto* e = packet.as<attach::Error>()) {
    fault(e->text);
    request_ = 0;
  } else if (packet.header().request != 0 && packet.header().request == request_) {
    request_ = 0;
    answered(packet);
  }
}

void SimClient::answered(Guest::Heard& packet) {
  if (packet.as<attach::Welcome>() != nullptr) {
    welcome(packet);
  } else if (packet.as<attach::Declared>() != nullptr) {
    declared(packet);
  } else if (const auto* s = packet.as<attach::Subscribed>()) {
    receivers_.back()->subscription = s->subscription;
    ledger_.acknowledged(receivers_.back()->id);
  } else if (!senders_.empty() && senders_.back()->lane != 0 && senders_.back()->topics < 2) {
    senders_.back()->topics++;  // the Ok of an AddTopic: a publisher asks for nothing else before
    ask_topic(*senders_.back());
  }
}

void SimClient::welcome(Guest::Heard& packet) {
  positions_ =
      std::move(*Mapping::open(packet.fds[0].get(), sizeof(PositionTable), Access::kReadWrite));
  bells_ = std::move(*Mapping::open(packet.fds[1].get(), sizeof(BellPage), Access::kReadWrite));
  workers_ =
      std::move(*Mapping::open(packet.fds[2].get(), sizeof(attach::WorkerPage), Access::kRead));
  packet.fds.clear();
  guest_.say(attach::Mapped{});
  attached_ = true;
}

void SimClient::ask() {
  const Wish wish = std::move(wishes_.front());
  wishes_.pop_front();
  if (wish.kind == Wish::kLeave) {
    leave_now();
  } else if (wish.kind == Wish::kEnded) {
    if (Receiver* r = find(wish.subscription)) say_goodbye(*r);
  } else if (wish.kind == Wish::kDeclare) {
    auto s = std::make_unique<Sender>();
    s->id = ledger_.add_publisher(where_.index, where_.life);
    s->pusher = wish.pusher;
    if (ending_) s->left = 0;
    attach::Declare m;
    m.kind = wish.pusher ? attach::Kind::kPusher : attach::Kind::kPublisher;
    peer::set_text(m.name, "p" + std::to_string(s->id));
    senders_.push_back(std::move(s));
    request_ = guest_.say(m);
  } else {
    auto r = std::make_unique<Receiver>();
    r->mode = wish.mode;
    r->filter = wish.filter;
    r->zero_copy = wish.zero_copy;
    r->id = ledger_.add_subscription(where_.index, where_.life, wish.mode, wish.filter);
    attach::Subscribe m;
    m.mode =
        wish.mode == ClusterLedger::Mode::kMember ? attach::Mode::kGroup : attach::Mode::kBroadcast;
    if (wish.mode == ClusterLedger::Mode::kLossy) m.overflow.policy = attach::Policy::kDropOldest;
    if (wish.zero_copy) m.path = attach::PathPolicy::kRequireZeroCopy;
    peer::set_text(m.filter, wish.filter);
    receivers_.push_back(std::move(r));
    request_ = guest_.say(m);
  }
}

// Lets go of what it has read, and says goodbye.
void SimClient::leave_now() {
  if (!receivers_.empty() && (senders_.empty() || random_.chance(50))) {
    say_goodbye(*receivers_.front());
  } else if (!senders_.empty()) {
    request_ = guest_.say(attach::CloseLane{.lane_id = senders_.front()->lane});
    senders_.erase(senders_.begin());
  }
}

void SimClient::say_goodbye(Receiver& r) {
  for (auto& lane : r.lanes)
    let_go(ledger_, r, *lane);
  ledger_.ended(r.id, false);
  request_ = guest_.say(attach::Unsubscribe{.subscription = r.subscription});
  std::erase_if(receivers_, [&](const auto& other) { return other.get() == &r; });
}

// The node may do that to those only who required zero copy. What they stood in front of may be
// overwritten by now.
void SimClient::ended(const attach::Ended& m) {
  Receiver* r = find(m.subscription);
  if (r == nullptr) return;  // it has left meanwhile
  if (!r->zero_copy) fault("ended: " + std::string(m.text));
  ledger_.not_zero_copy(r->id);
  wishes_.push_front({.kind = Wish::kEnded, .subscription = m.subscription, .filter = {}});
}

void SimClient::declared(Guest::Heard& packet) {
  const auto& m = *packet.as<attach::Declared>();
  Sender& s = *senders_.back();
  s.memory =
      std::move(*Mapping::open(packet.fds[0].get(), m.geometry.total_bytes(), Access::kReadWrite));
  s.page = std::move(*Mapping::open(packet.fds[1].get(), sizeof(NodePage), Access::kRead));
  s.writer =
      LaneWriter(s.memory.data(), m.geometry, reinterpret_cast<const NodePage*>(s.page.data()));
  s.lane = m.lane_id;
  s.bell = m.bell_slot;
  packet.fds.clear();
  guest_.say(attach::Mapped{.lane_id = s.lane});
  ask_topic(s);
}

void SimClient::ask_topic(Sender& s) {
  if (s.topics == 2) return;
  const std::string_view name = kTopics[(s.pusher ? 2U : 0U) + s.topics];
  attach::AddTopic m;
  m.lane_id = s.lane;
  m.topic = *s.writer.add_topic(name);
  peer::set_text(m.name, name);
  request_ = guest_.say(m);
}

void SimClient::reader_came(Guest::Heard& packet) {
  const auto& m = *packet.as<attach::Reader>();
  for (const auto& s : senders_) {
    if (s->lane != m.lane_id) continue;
    Mapping& table = tables_[m.table];
    if (!table)
      table = std::move(*Mapping::open(packet.fds[0].get(), sizeof(PositionTable), Access::kRead));
    Wake wake;  // a client here is never asleep
    if (m.worker >= 0) {
      auto* bells = reinterpret_cast<BellPage*>(bells_.data());
      const auto* workers = reinterpret_cast<const attach::WorkerPage*>(workers_.data());
      wake = {.event_fd = -1,
              .bell = &bells->worker[m.worker].bits[s->bell / 64],
              .bell_bit = uint64_t{1} << (s->bell % 64),
              .sleeper = &workers->worker[m.worker].armed};
    }
    s->readers[m.index] = {m.generation, m.table};
    s->writer.attach_reader(m.index, m.generation,
                            &reinterpret_cast<const PositionTable*>(table.data())->slots[m.slot],
                            wake);
  }
}

void SimClient::reader_gone(const attach::ReaderGone& m) {
  for (const auto& s : senders_) {
    for (auto it = s->readers.begin(); it != s->readers.end();) {
      const bool this_one =
          s->lane == m.lane_id && it->first == m.index && it->second.generation == m.generation;
      if (this_one || (m.table != 0 && it->second.table == m.table)) {
        s->writer.detach_reader(it->first);
        it = s->readers.erase(it);
      } else {
        it++;
      }
    }
  }
  if (m.table != 0) tables_.erase(m.table);
}

void SimClient::join(Guest::Heard& packet, const attach::Join& m) {
  Receiver* r = find(m.subscription);
  if (r == nullptr && !receivers_.empty() && receivers_.back()->subscription == 0) {
    r = receivers_.back().get();
    r->subscription = m.subscription;
  }
  if (r == nullptr) return;  // it has left meanwhile
  auto lane = std::make_unique<Reading>();
  lane->join = m;
  lane->publisher = publisher_of(m);
  lane->memory =
      std::move(*Mapping::open(packet.fds[0].get(), m.geometry.total_bytes(), Access::kRead));
  lane->page = std::move(*Mapping::open(packet.fds[1].get(), sizeof(NodePage), Access::kRead));
  auto* positions = reinterpret_cast<PositionTable*>(positions_.data());
  lane->reader = LaneReader({.memory = lane->memory.data(),
                             .geometry = m.geometry,
                             .page = reinterpret_cast<const NodePage*>(lane->page.data()),
                             .index = m.index,
                             .generation = m.generation,
                             .slot = &positions->slots[m.slot],
                             .start = m.start,
                             .lossy = m.lossy != 0});
  r->lanes.push_back(std::move(lane));
}

uint32_t SimClient::publish(Sender& s, const Pace& pace) {
  if (!random_.chance(pace.eager)) return 0;
  uint32_t n = 0;
  for (; s.topics != 0 && n < pace.publish && s.left != 0; n++) {
    s.alone = !s.writer.has_readers() && s.pusher;
    if (s.alone) break;
    uint64_t most = pace.most_bytes;
    for (uint64_t halve = random_.below(10); halve > 0 && most > 64; halve--)
      most /= 2;
    const uint64_t len = ClusterLedger::kLeast + random_.below(most);
    const auto row = static_cast<uint32_t>(random_.below(s.topics));
    std::byte* to = s.writer.loan(len);
    if (to == nullptr) {
      blocked_++;
      break;
    }
    ledger_.write(s.id, (s.pusher ? 2U : 0U) + row, {to, static_cast<size_t>(len)});
    s.writer.commit(
        {.topic = row, .time_ns = 0, .key = s.pusher && pace.keys ? random_.below(4) : 0});
    ledger_.published(s.id);
    if (ending_) s.left--;
  }
  return n;
}

void SimClient::let_go(ClusterLedger& ledger, const Receiver& r, Reading& lane) {
  if (lane.over) return;
  lane.reader.account(lane.shown, lane.skipped);
  lane.reader.release();
  for (const auto& name : lane.held)
    ledger.released(r.id, name);
  lane.held.clear();
}

void SimClient::finish(uint64_t messages) {
  ending_ = true;
  for (const auto& s : senders_)
    s->left = messages;
}

bool SimClient::finished() const {
  return attached_ && request_ == 0 && wishes_.empty() && inbox_.empty() &&
         std::all_of(senders_.begin(), senders_.end(),
                     [](const auto& s) { return s->topics == 2 && (s->left == 0 || s->alone); });
}

std::string SimClient::state() const {
  std::string t = "client at " + std::to_string(where_.index) + (attached_ ? "" : " not attached") +
                  (request_ != 0 ? " waits for an answer" : "");
  for (const auto& s : senders_)
    t += ", p" + std::to_string(s->id) + " has " + std::to_string(s->left) + " left";
  for (const auto& r : receivers_)
    t += ", s" + std::to_string(r->id) + " " + r->filter + " reads " +
         std::to_string(r->lanes.size()) + " lanes";
  return t;
}

}  // namespace penstock::test
