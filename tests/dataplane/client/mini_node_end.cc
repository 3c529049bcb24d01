// How things end in a MiniNode, what it carries into inboxes, and what tests ask of it.
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/base/event.h"
#include "dataplane/topic/filter.h"
#include "tests/dataplane/client/mini_node.h"

namespace penstock::test {

void MiniNode::query(Client& c, const Packet& p) {
  const auto& ask = *p.as<attach::Query>();
  if (std::strcmp(ask.text, "lanes") != 0) {
    c.session->refuse(ask.header.request, static_cast<uint32_t>(Errc::kNotFound),
                      "no such question: ask for lanes");
    return;
  }
  const std::string text = "{\"lanes\":" + std::to_string(lanes_.size()) + "}";
  const Fd fd(memfd_create("answer", MFD_CLOEXEC));
  if (write(fd.get(), text.data(), text.size()) < 0) std::abort();
  attach::Answer a;
  a.header.request = ask.header.request;
  a.bytes = text.size();
  c.session->send(a, {fd.get()});
}

void MiniNode::released(const attach::Released& r) {
  const auto it = lanes_.find(r.lane_id);
  if (it == lanes_.end()) return;
  for (auto& [index, reader] : it->second->readers) {
    if (reader.generation != r.generation) continue;
    leave(*it->second, index);
    return;
  }
}

// The reader in mark `index` has let go.
void MiniNode::leave(Lane& lane, uint32_t index) {
  const LaneReaderOf r = lane.readers.at(index);
  lane.readers.erase(index);
  lane.desk.leave(index);
  if (r.by != nullptr) r.by->client->slots[r.slot] = false;
  if (lane.inbox) lane.writer.detach_reader(index);
  if (lane.client == nullptr || lane.client->gone) return;
  attach::ReaderGone gone;
  gone.lane_id = lane.id;
  gone.index = index;
  gone.generation = r.generation;
  lane.client->session->send(gone);
}

// No more will come: readers read on, then let go. The node itself has read everything by then.
void MiniNode::close_lane(Lane& lane, CloseReason why) {
  lane.desk.close(why);
  lane.client = nullptr;
  for (auto& [index, r] : lane.readers) {
    if (r.by == nullptr) continue;
    attach::Leave l;
    l.subscription = r.by->id;
    l.lane_id = lane.id;
    l.slot = r.slot;
    l.generation = r.generation;
    r.by->client->session->send(l);
    ring_event(r.by->event.get());
  }
}

void MiniNode::unsubscribe(Subscription& s) {
  for (auto& [id, lane] : lanes_) {
    std::vector<uint32_t> mine;
    for (auto& [index, r] : lane->readers)
      if (r.by == &s) mine.push_back(index);
    for (const uint32_t index : mine)
      leave(*lane, index);
  }
  lanes_.erase(s.inbox);
  std::erase_if(subscriptions_, [&](const auto& x) { return x.get() == &s; });
}

// Clients whose socket has ended, and lanes that are closed and read.
void MiniNode::bury() {
  for (size_t i = 0; i < clients_.size();) {
    Client* c = clients_[i].get();
    if (!c->gone) {
      i++;
      continue;
    }
    for (size_t k = subscriptions_.size(); k-- > 0;)
      if (subscriptions_[k]->client == c) unsubscribe(*subscriptions_[k]);
    for (auto& [id, lane] : lanes_)
      if (lane->client == c) close_lane(*lane, CloseReason::kPublisherDied);
    clients_.erase(clients_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  std::erase_if(lanes_, [](const auto& entry) {
    const Lane& lane = *entry.second;
    return !lane.inbox && lane.client == nullptr && lane.readers.empty();
  });
}

// Carries pushed messages into inboxes, a burst from each lane.
uint32_t MiniNode::dispatch() {
  uint32_t work = 0;
  for (auto& [id, lane] : lanes_) {
    if (lane->source == nullptr) continue;
    for (int n = 0; n < 32; n++) {
      if (!lane->held && lane->source->next(lane->message) != LaneReader::Next::kMessage) break;
      lane->held = !put(lane->message, lane->topics.at(lane->message.topic));
      if (lane->held) break;
      work++;
      lane->source->release();
    }
  }
  return work;
}

bool MiniNode::put(const Message& m, const std::string& topic) {
  for (size_t tries = 0; tries < subscriptions_.size(); tries++) {
    const Subscription& s = *subscriptions_[next_member_++ % subscriptions_.size()];
    if (s.mode != attach::Mode::kGroup || !matches(s.filter, topic)) continue;
    Lane& inbox = *lanes_.at(s.inbox);
    std::byte* to = inbox.writer.loan(m.len);
    if (to == nullptr) continue;
    auto [row, fresh] = inbox.ids.try_emplace(topic, 0);
    if (fresh) row->second = *inbox.writer.add_topic(topic);
    std::memcpy(to, m.data, m.len);
    Meta meta;
    meta.topic = row->second;
    meta.parts = m.parts;
    meta.time_ns = m.time_ns;
    meta.key = m.key;
    inbox.writer.publish_loaned(meta, m.source, m.origin);
    return true;
  }
  return false;
}

void MiniNode::withhold_readers() {
  call([this] { readers_withheld_ = true; });
}

void MiniNode::lose_lane_of(const std::string& publisher) {
  call([&] {
    for (auto& [id, lane] : lanes_)
      if (lane->name == publisher) close_lane(*lane, CloseReason::kPeerDown);
  });
}

void MiniNode::evict_readers_of(const std::string& publisher) {
  call([&] {
    for (auto& [id, lane] : lanes_) {
      if (lane->name != publisher) continue;
      for (auto& [index, r] : lane->readers) {
        lane->desk.evict(index);
        attach::Leave l;
        l.subscription = r.by->id;
        l.lane_id = lane->id;
        l.slot = r.slot;
        l.generation = r.generation;
        r.by->client->session->send(l);
        ring_event(r.by->event.get());
      }
    }
  });
}

size_t MiniNode::readers_of(const std::string& publisher) {
  size_t n = 0;
  call([&] {
    for (auto& [id, lane] : lanes_)
      if (lane->name == publisher) n += lane->readers.size();
  });
  return n;
}

uint64_t MiniNode::lane_of(const std::string& publisher) {
  uint64_t found = 0;
  call([&] {
    for (auto& [id, lane] : lanes_)
      if (lane->name == publisher) found = id;
  });
  return found;
}

uint64_t MiniNode::any_subscription() {
  uint64_t found = 0;
  call([&] {
    if (!subscriptions_.empty()) found = subscriptions_.front()->id;
  });
  return found;
}

size_t MiniNode::subscriptions() {
  size_t n = 0;
  call([&] { n = subscriptions_.size(); });
  return n;
}

void MiniNode::each_session(const std::function<void(Session&)>& what) {
  call([&] {
    for (auto& c : clients_)
      what(*c->session);
  });
}

void MiniNode::answer(attach::Type question, Instead instead) {
  call([&] {
    if (instead)
      instead_[question] = std::move(instead);
    else
      instead_.erase(question);
  });
}

}  // namespace penstock::test
