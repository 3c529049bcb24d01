#include "tests/support/cluster_ledger.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "tests/dataplane/topic/slow_match.h"
#include "tests/support/ledger.h"

namespace penstock::test {
namespace {

// In front of each message.
struct Head {
  uint64_t publisher;
  uint64_t number;
  uint32_t topic;
  uint32_t len;
  uint64_t check;
};
static_assert(sizeof(Head) == ClusterLedger::kLeast);

uint64_t check_of(Head head, std::span<const std::byte> body) {
  uint64_t sum = head.publisher * 0x9e3779b97f4a7c15 ^ head.number;
  sum = (sum ^ (uint64_t{head.topic} << 32 | head.len)) * 0x100000001b3;
  for (size_t at = 0; at < body.size(); at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, body.data() + at, std::min<size_t>(8, body.size() - at));
    sum = (sum ^ word) * 0x9e3779b97f4a7c15;
    sum ^= sum >> 29;
  }
  return sum;
}

}  // namespace

void ClusterLedger::Counts::add(const Counts& o) {
  published += o.published, delivered += o.delivered, gaps += o.gaps;
  lost += o.lost, duplicated += o.duplicated, reordered += o.reordered;
  corrupted += o.corrupted, phantom += o.phantom;
  unreported += o.unreported, untaken += o.untaken, not_zero_copy += o.not_zero_copy;
}

std::string ClusterLedger::Counts::text() const {
  char line[320];
  std::snprintf(line, sizeof line,
                "published %lu, delivered %lu, gaps %lu, lost %lu, duplicated %lu, reordered %lu, "
                "corrupted %lu, phantom %lu, unreported %lu, untaken %lu, not zero copy %lu",
                published, delivered, gaps, lost, duplicated, reordered, corrupted, phantom,
                unreported, untaken, not_zero_copy);
  return line;
}

ClusterLedger::ClusterLedger(uint64_t seed, uint32_t nodes, uint32_t paths, uint64_t fits)
    : seed_(seed),
      nodes_(nodes),
      paths_(paths),
      fits_(fits),
      breaks_(nodes * nodes),
      up_(nodes * nodes),
      lives_(nodes) {}

uint64_t ClusterLedger::add_publisher(uint32_t node, uint32_t life) {
  publishers_.push_back({.node = node, .life = life, .sent = {}});
  return publishers_.size();
}

void ClusterLedger::write(uint64_t publisher, uint32_t topic, std::span<std::byte> to) {
  Publisher& p = publishers_[publisher - 1];
  Head head{publisher, p.sent.size(), topic, static_cast<uint32_t>(to.size()), 0};
  Random random(seed_ ^ publisher << 40 ^ head.number);
  const auto body = to.subspan(sizeof head);
  for (size_t at = 0; at < body.size(); at += 8) {
    const uint64_t word = random();
    std::memcpy(body.data() + at, &word, std::min<size_t>(8, body.size() - at));
  }
  head.check = check_of(head, body);
  std::memcpy(to.data(), &head, sizeof head);
  p.next = {topic, head.len, head.check};
}

void ClusterLedger::published(uint64_t publisher) {
  Publisher& p = publishers_[publisher - 1];
  p.sent.push_back(p.next);
  counts_.published++;
}

uint64_t ClusterLedger::add_subscription(uint32_t node, uint32_t life, Mode mode,
                                         std::string_view filter) {
  Subscription s;
  s.node = node;
  s.life = life;
  s.mode = mode;
  s.filter = filter;
  for (size_t t = 0; t < kTopics.size(); t++)
    s.wants[t] = slow_match(filter, kTopics[t]);
  for (uint32_t n = 0; n < nodes_; n++)
    s.breaks.push_back(connected(node, n) && life == lives_[node] ? breaks(node, n) : kUnknown);
  if (mode == Mode::kMember) groups_[s.filter].wants = s.wants;
  subscriptions_.push_back(std::move(s));
  return subscriptions_.size();
}

ClusterLedger::Flow& ClusterLedger::flow(Subscription& s, uint64_t publisher) {
  const auto [it, made] = s.flows.try_emplace(publisher);
  if (made) {
    it->second.breaks = s.breaks[publishers_[publisher - 1].node];
    if (s.acknowledged) it->second.owed = it->second.asked = 0;
  }
  return it->second;
}

// What is published from here on is owed.
void ClusterLedger::acknowledged(uint64_t subscription) {
  Subscription& s = subscriptions_[subscription - 1];
  if (s.mode == Mode::kMember) {
    Group& g = groups_[s.filter];
    if (g.members.empty() && !ending_ && connected()) {
      bool sure = s.life == lives_[s.node];
      for (uint32_t n = 0; n < nodes_; n++)
        sure = sure && s.breaks[n] == breaks(s.node, n);
      g.owed = sure && !(lingers_ && lingers_(s.node, s.filter));
      g.from.clear();
      for (uint64_t p = 1; p <= publishers_.size(); p++)
        g.from[p] = publishers_[p - 1].sent.size();
    }
    g.members[s.node]++;
  } else {
    for (uint64_t p = 1; p <= publishers_.size(); p++) {
      Flow& f = flow(s, p);
      f.asked = publishers_[p - 1].sent.size();
      if (whole(s, f, publishers_[p - 1])) f.owed = f.asked;
    }
  }
  s.acknowledged = true;
}

bool ClusterLedger::whole(const Subscription& s, const Flow& f, const Publisher& p) const {
  return f.breaks == breaks(s.node, p.node) && p.life == lives_[p.node] && s.life == lives_[s.node];
}

uint64_t ClusterLedger::standing(uint64_t subscription, uint64_t publisher) const {
  const Subscription& s = subscriptions_[subscription - 1];
  const Publisher& p = publishers_[publisher - 1];
  const bool alive = s.life == lives_[s.node] && p.life == lives_[p.node];
  return alive && connected(s.node, p.node) ? breaks(s.node, p.node) : kUnknown;
}

void ClusterLedger::joined(uint64_t subscription, uint64_t publisher, uint64_t standing) {
  Subscription& s = subscriptions_[subscription - 1];
  Flow& f = flow(s, publisher);
  if (!whole(s, f, publishers_[publisher - 1])) {
    f.owed = kUnknown;
    f.seen = {};
  }
  f.fresh = f.known = true;
  f.breaks = standing;
}

ClusterLedger::Missing ClusterLedger::missing(const Subscription& s, const Flow& f,
                                              const Publisher& p, uint64_t to) const {
  Missing m;
  for (uint64_t n = f.expected; n < to; n++) {
    const uint32_t topic = p.sent[n].topic;
    if (!s.wants[topic]) continue;
    if (n < std::min(f.asked, p.end_from)) continue;
    if (n >= std::min(f.owed, p.end_from) || f.seen[topic]) {
      m.owed++;
    } else if (n >= f.met_at) {
      m.others++;
    }
  }
  return m;
}

// Gaps cover what was owed, and then the rest.
void ClusterLedger::miss(uint64_t id, const Flow& f, Missing m, const char* what,
                         const Name& name) {
  const uint64_t lost = m.owed - std::min(m.owed, f.gaps);
  const uint64_t rest = f.gaps - std::min(m.owed, f.gaps);
  if (lost != 0) wrong(counts_.lost, lost, what, id, name);
  const Publisher& p = publishers_[name.publisher - 1];
  const bool met = subscriptions_[id - 1].met.contains({p.node, p.life});
  if (met && !f.told && m.others > rest) wrong(counts_.unreported, m.others - rest, what, id, name);
}

void ClusterLedger::wrong(uint64_t& count, uint64_t n, const char* what, uint64_t subscription,
                          const Name& name) {
  count += n;
  if (text_.size() > 2000) return;
  const Subscription& s = subscriptions_[subscription - 1];
  char line[200];
  const bool known = name.publisher - 1 < publishers_.size();
  std::snprintf(line, sizeof line,
                "\n%s: %lu at message %lu of p%lu on %u, subscription %lu (%s%s on %u)", what, n,
                name.number, name.publisher, known ? publishers_[name.publisher - 1].node : 0,
                subscription, s.filter.c_str(),
                s.mode == Mode::kMember  ? ", group"
                : s.mode == Mode::kLossy ? ", lossy"
                                         : "",
                s.node);
  text_ += line;
}

ClusterLedger::Name ClusterLedger::got(uint64_t subscription, std::string_view topic,
                                       std::span<const std::byte> bytes) {
  Subscription& s = subscriptions_[subscription - 1];
  Head head{};
  if (bytes.size() < sizeof head) {
    wrong(counts_.corrupted, 1, "too short", subscription, {});
    return {};
  }
  std::memcpy(&head, bytes.data(), sizeof head);
  const Name name{head.publisher, head.number};
  if (check_of(head, bytes.subspan(sizeof head)) != head.check || head.len != bytes.size()) {
    wrong(counts_.corrupted, 1, "corrupted", subscription, name);
    return {};
  }
  const bool known = head.publisher - 1 < publishers_.size() &&
                     head.number < publishers_[head.publisher - 1].sent.size() &&
                     publishers_[head.publisher - 1].sent[head.number].check == head.check;
  if (!known || kTopics[head.topic] != topic || !s.wants[head.topic]) {
    wrong(counts_.phantom, 1, "phantom", subscription, name);
    return {};
  }
  counts_.delivered++;
  if (s.mode == Mode::kMember) return take_in_group(subscription, s, name) ? name : Name{};

  const Publisher& p = publishers_[name.publisher - 1];
  Flow& f = flow(s, name.publisher);
  if (f.got.size() <= name.number) f.got.resize(name.number + 1);
  if (f.got[name.number]) {
    wrong(counts_.duplicated, 1, "duplicated", subscription, name);
    return {};
  }
  f.got[name.number] = true;
  if (name.number < f.expected) {
    wrong(counts_.reordered, 1, "reordered", subscription, name);
    return name;
  }
  const Missing gone = missing(s, f, p, name.number);
  miss(subscription, f, gone, f.fresh ? "lost before a lane" : "lost within a lane", name);
  f.expected = name.number + 1;
  f.gaps = 0;
  f.told = false;
  f.fresh = false;
  meet(s, p);
  f.seen[head.topic] = true;
  return name;
}

bool ClusterLedger::take_in_group(uint64_t id, Subscription& s, const Name& name) {
  auto& holders = groups_[s.filter].holders[name.publisher];
  if (holders.size() <= name.number) holders.resize(name.number + 1);
  if (holders[name.number] != kFree) {
    wrong(counts_.duplicated, 1, "duplicated", id, name);
    return false;
  }
  holders[name.number] = id;
  return true;
}

void ClusterLedger::gap(uint64_t subscription, uint64_t publisher, uint64_t count) {
  counts_.gaps += count;
  if (publisher != 0) flow(subscriptions_[subscription - 1], publisher).gaps += count;
}

// Something came from that node: from here on it knows what the subscription wants, in this life.
// Not by what others asked for, before it could, nor by what was still in a mirror when it was
// lost.
void ClusterLedger::meet(Subscription& s, const Publisher& from) {
  if (!s.acknowledged || !connected(s.node, from.node)) return;
  if (!s.met.insert({from.node, from.life}).second) return;
  for (uint64_t id = 1; id <= publishers_.size(); id++) {
    const Publisher& p = publishers_[id - 1];
    if (p.node == from.node && p.life == from.life) flow(s, id).met_at = p.sent.size();
  }
}

void ClusterLedger::end_of_lane(uint64_t subscription, uint64_t publisher) {
  if (publisher != 0) flow(subscriptions_[subscription - 1], publisher).told = true;
}

void ClusterLedger::released(uint64_t subscription, const Name& name) {
  if (name.publisher == 0) return;
  groups_[subscriptions_[subscription - 1].filter].holders[name.publisher][name.number] = kSettled;
}

void ClusterLedger::ended(uint64_t subscription, bool died) {
  Subscription& s = subscriptions_[subscription - 1];
  if (s.ended) return;
  s.ended = true;
  if (s.mode != Mode::kMember) return;
  Group& g = groups_[s.filter];
  if (died)
    for (auto& [publisher, holders] : g.holders)
      std::replace(holders.begin(), holders.end(), subscription, kFree);
  if (!s.acknowledged) {
    g.owed = false;  // it may have had an inbox, and be the only one here
    return;
  }
  // What it leaves goes to others of its node, if there are.
  if (--g.members[s.node] != 0) return;
  g.members.erase(s.node);
  g.owed = false;
}

// "node 2 (b) is up on path 0", "node 2 (b) is down on path 0: it was not heard"
void ClusterLedger::heard(uint32_t node, std::string_view line) {
  unsigned long peer = 0;
  unsigned path = 0;
  char what[8] = {};
  const std::string text(line);
  if (std::sscanf(text.c_str(), "node %lu (%*[^)]) is %7s on path %u", &peer, what, &path) != 3)
    return;
  const auto other = static_cast<uint32_t>(peer - 1);
  uint32_t& up = up_[node * nodes_ + other];
  if (std::strcmp(what, "up") == 0) {
    up |= 1U << path;
  } else {
    up &= ~(1U << path);
    lose(node, other);
  }
}

void ClusterLedger::lose(uint32_t a, uint32_t b) {
  breaks_[a * nodes_ + b]++;
  if (a != b) breaks_[b * nodes_ + a]++;
  for (auto& [filter, g] : groups_)
    g.owed = false;
}

void ClusterLedger::restarted(uint32_t node, uint32_t life) {
  lives_[node] = life;
  for (uint32_t n = 0; n < nodes_; n++) {
    up_[node * nodes_ + n] = 0;
    lose(node, n);
  }
}

bool ClusterLedger::connected(uint32_t a, uint32_t b) const {
  const uint32_t all = (1U << paths_) - 1;
  return a == b || (up_[a * nodes_ + b] == all && up_[b * nodes_ + a] == all);
}

bool ClusterLedger::connected() const {
  for (uint32_t a = 0; a < nodes_; a++)
    for (uint32_t b = 0; b < a; b++)
      if (!connected(a, b)) return false;
  return true;
}

}  // namespace penstock::test
