// What this node wants of its peers: one wish a filter, for all local subscriptions that have it.
#include <algorithm>
#include <fmt/format.h>

#include "control/node/node.h"

namespace penstock {

void Node::on_sub_ack(PeerRecord& p, const peer::SubAck& m) {
  acknowledged(p, m.key);
}

void Node::on_sub_refused(PeerRecord& p, const peer::SubRefused& m) {
  for (const auto& [what, wish] : wishes_)
    if (wish.key == m.key)
      note(EventName::kDenied,
           fmt::format("node {} ({}) does not let this node have '{}': see its rules; what is "
                       "published there does not come here",
                       p.id, p.name, what.second));
  acknowledged(p, m.key);
}

// Nobody waits for the peer's answer to the wish any more.
void Node::acknowledged(PeerRecord& p, uint64_t key) {
  for (auto& [what, wish] : wishes_) {
    if (wish.key != key) continue;
    for (auto& [cid, c] : clients_) {
      for (auto& [sid, s] : c->subscriptions) {
        if (!s->waiting || s->mode != what.first || s->filter != what.second) continue;
        if (s->waiting->peers.erase(p.id) != 0 && s->waiting->peers.empty()) finish_subscribe(*s);
      }
    }
  }
}

// What a peer may do to all of ours with this filter: nothing, or the most that one of them allows.
// When the last who must miss nothing goes the peer is not told before the next one comes.
attach::Overflow Node::shared_overflow(Mode mode, const std::string& filter) const {
  attach::Overflow all{.policy = attach::Policy::kDropOldest};
  bool first = true;
  for (const auto& [cid, c] : clients_) {
    for (const auto& [sid, s] : c->subscriptions) {
      if (s->mode != mode || s->filter != filter || s->over) continue;
      const attach::Overflow& o = s->overflow;
      if (o.holds_back()) return {};
      const bool limits = o.policy == attach::Policy::kDropOldest;
      const auto wider = [&](uint64_t a, uint64_t b) {
        return !limits ? 0 : first ? b : a == 0 || b == 0 ? 0 : std::max(a, b);
      };
      all.limit_messages = wider(all.limit_messages, o.limit_messages);
      all.limit_bytes = wider(all.limit_bytes, o.limit_bytes);
      first = false;
    }
  }
  return first ? attach::Overflow{} : all;
}

// One wish a filter, whoever of ours has it; but each new subscription asks again, because its
// acknowledgement says that what is published from now on will come.
void Node::wish(Mode mode, const std::string& filter, Subscription& s) {
  Wish& w = wishes_[{mode, filter}];
  if (w.users++ == 0) w.key = next_wish_++;
  for (auto& [id, p] : peers_) {
    if (!p->up()) continue;
    peer::SubAdd m;
    m.mode = mode;
    m.key = w.key;
    m.overflow = shared_overflow(mode, filter);
    m.path = shared_path(mode, filter);
    peer::set_text(m.filter, filter);
    send(*p, m);
    s.waiting->peers.insert(id);
  }
}

void Node::unwish(Mode mode, const std::string& filter) {
  const auto it = wishes_.find({mode, filter});
  if (it == wishes_.end() || --it->second.users != 0) return;
  peer::SubDel m;
  m.key = it->second.key;
  for (auto& [id, p] : peers_)
    send(*p, m);
  wishes_.erase(it);
}

}  // namespace penstock
