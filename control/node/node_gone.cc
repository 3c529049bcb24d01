// A client leaves, or is made to.
#include <algorithm>

#include "control/node/node.h"

namespace penstock {

// Its readers stop holding anybody back now; its lanes end with what was whole.
void Node::client_gone(ClientRecord& c) {
  const uint32_t id = c.id;
  const bool died = c.session->dead() || !c.lanes.empty();
  for (auto& [sid, s] : c.subscriptions)
    end_subscription(*s, true);
  c.subscriptions.clear();
  const auto lanes = c.lanes;
  c.lanes.clear();
  for (const auto& [lid, lane] : lanes)
    close_lane(*lane, died ? CloseReason::kPublisherDied : CloseReason::kPublisherLeft);
  count_delays(c, ended_);
  // Workers may still hear its bells: the record stays until they don't.
  std::shared_ptr<ClientRecord> record(std::move(clients_[id]));
  clients_.erase(id);
  for (auto& [lid, lane] : lanes_) {
    if (lane->publisher != &c) continue;
    lane->publisher = nullptr;
    lane->keep = record;
  }
  record->session.reset();
  for (uint32_t w = 0; w < record->worker_events.size(); w++) {
    const int fd = record->worker_events[w].get();
    errands(w).send([fd](Worker& worker, uint64_t) { worker.remove_wake_event(fd); }, [record] {});
  }
  retire(std::move(record));
}

// Its bell page goes when no lane of it is left.
void Node::retire(std::shared_ptr<ClientRecord> record) {
  const bool last = std::none_of(lanes_.begin(), lanes_.end(),
                                 [&](const auto& l) { return l.second->keep == record; });
  if (!last || record->worker_events.empty()) return;
  BellPage* page = record->bells();
  // Twice around: what the first round's answers ask of the workers (an inbox that changes hands)
  // still refers to the positions in it.
  for (uint32_t w = 0; w < workers_.size(); w++) {
    errands(w).send([page](Worker& worker, uint64_t) { worker.tasks().remove_bells(page); },
                    [this, w, record] { errands(w).send([](Worker&, uint64_t) {}, [record] {}); });
  }
}

}  // namespace penstock
