// Forwards end: what a device still reads first, then the link, then the books.
#include <algorithm>

#include "control/node/node.h"

namespace penstock {

// What the peer has acknowledged it has; from there on it has nothing. The first thing that it was
// sent may have been the notice of what it missed before.
void Node::note_missed(LaneRecord& lane, const ForwardRecord& f) {
  const bool some = f.forward != nullptr && f.forward->out().stats().delivered.read() != 0;
  lane.miss(f.peer->id, {f.epoch, some ? totals(*f.reader).position : f.owed_from});
}

// Takes the forward off its worker; nobody waits for it any more. What the peer has not got is
// dropped for `undelivered`. `tell`: the control channel goes on, and the peer may close its
// mirror, or the one that it will make when it hears of the lane.
void Node::end_forward(ForwardRecord& f, Drop undelivered, bool tell) {
  if (f.ending) return;
  f.ending = true;
  tell_waiting(f, false);
  f.lost = undelivered == Drop::kPeerDown;
  for (auto& [key, interest] : f.peer->interests)
    if (std::erase_if(interest.waiting, [&](const auto& w) { return w.first == f.alias; }) != 0 &&
        interest.waiting.empty())
      acknowledge(*f.peer, key, interest);
  LaneRecord& lane = *f.lane;
  const PathRecord& path = f.peer->paths[f.path_index];
  SourceRecord* source = nullptr;  // it waits for this one's end
  if (f.group != nullptr)
    if (const auto it = f.group->sources.find(lane.id); it != f.group->sources.end())
      source = it->second.get();
  if (f.remote != nullptr)
    errands(path.worker).send([r = f.remote.get()](Worker&, uint64_t) { r->take_no_more(); });
  // First what a device may still read of it.
  off_rdma(
      f, now_,
      [this, &f, &lane, source, undelivered, tell, worker = path.worker, session = path.session] {
        take_off_worker(f, lane, source, undelivered, tell, worker, session);
      });
}

void Node::take_off_worker(ForwardRecord& f, LaneRecord& lane, SourceRecord* source,
                           Drop undelivered, bool tell, uint32_t worker, uint64_t session) {
  errands(worker).send(
      [&f, from = source != nullptr ? source->source.get() : nullptr, session](Worker& w,
                                                                               uint64_t) {
        if (f.forward != nullptr) w.tasks().remove(f.forward.get());
        if (f.remote != nullptr && from != nullptr) {
          from->remove_remote(f.remote.get());
          from->let_go();
        }
        if (f.path->link.in_session(session)) (void)f.path->link.remove_out(f.alias);
      },
      [this, &f, &lane, &peer = *f.peer, source, undelivered, tell] {
        if (tell && f.peer->up()) {
          peer::LaneClose m;
          m.path = f.path_index;
          m.alias = f.alias;
          m.epoch = 1;
          CloseReason why = lane.closed ? lane.reason : CloseReason::kPublisherLeft;
          if (f.lost && f.reader != nullptr &&
              (!lane.closed || totals(*f.reader).position != lane.head()))
            why = CloseReason::kPeerDown;  // some of it may not have got there
          m.reason = static_cast<uint32_t>(why);
          if (f.forward != nullptr) m.messages = f.forward->out().stats().delivered.read();
          if (f.remote != nullptr) m.messages = f.remote->out().stats().delivered.read();
          send(*f.peer, m);
        }
        if (f.remote != nullptr && source != nullptr) {
          const OutLaneStats& s = f.remote->out().stats();
          source->lost[Drop::kTooBig] += s.too_big.read();
          source->lost[Drop::kMalformed] += s.broken.read() + f.remote->unreadable().read();
          source->lost[undelivered] += f.remote->size() - f.remote->room();
        }
        if (f.reader != nullptr) {
          if (f.lost && !lane.closed) {
            note_missed(lane, f);
            if (peer.up() && peer.absent.empty()) forget_missed(peer);  // it wants it no more
          }
          part(*f.reader, undelivered);
        }
        const std::pair waits{f.alias, kNoTopic};
        const bool again = f.again;
        ended_.stalls += stalls(f);
        std::erase_if(lane.forwards, [&](const auto& e) { return e.get() == &f; });
        for (auto& [key, interest] : peer.interests) {
          if (again) offer(peer, lane, interest);
          if (interest.waiting.erase(waits) != 0 && interest.waiting.empty())
            acknowledge(peer, key, interest);
        }
        if (source != nullptr && source->leaving) take_off_worker(*source);
        lane_progress(lane);
      });
}

}  // namespace penstock
