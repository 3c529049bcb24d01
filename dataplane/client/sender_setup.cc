// A sender's beginning, end, topics, and the readers that come and go between.
#include <algorithm>
#include <cstring>
#include <new>

#include "dataplane/client/last_error.h"
#include "dataplane/client/sender.h"
#include "dataplane/topic/name.h"

namespace penstock::client {

Result<Sender*> Sender::declare(Client& client, const Options& options) {
  if (options.name.empty() || options.name.size() >= attach::kNameBytes)
    return fail(Errc::kInvalid, "a sender's name has 1 to %zu bytes", attach::kNameBytes - 1);
  auto* s = new (std::nothrow) Sender(client, options);
  if (s == nullptr) return fail(Errc::kNoMemory, "out of memory");
  client.keep();
  const Errc e = s->start(options);
  if (e == Errc::kOk) return s;
  s->close();
  return e;
}

Errc Sender::start(const Options& options) {
  attach::Declare ask;
  ask.kind = options.kind;
  ask.geometry = options.geometry;
  std::memcpy(ask.name, options.name.data(), options.name.size());
  Packet answer;
  if (const Errc e = client_.ask(ask, attach::Type::kDeclared, answer); e != Errc::kOk) return e;
  const auto* d = answer.as<attach::Declared>();
  if (d == nullptr || answer.fd_count != 2 || d->lane_id == 0 || !d->geometry.valid() ||
      d->bell_slot >= 512)
    return client_.broken("Declared");
  auto lane = Mapping::open(answer.fds[0].get(), d->geometry.total_bytes(), Access::kReadWrite);
  if (!lane.ok() && lane.error() == Errc::kNoMemory)
    return fail(Errc::kNoMemory, "no memory to map a lane of %lu bytes", d->geometry.total_bytes());
  auto page = Mapping::open(answer.fds[1].get(), sizeof(NodePage), Access::kRead);
  if (!lane.ok() || !page.ok()) return client_.broken("the memory in Declared");
  const auto* header = reinterpret_cast<const LaneHeader*>(lane->data());
  if (header->magic != kLaneMagic || header->version != kLaneVersion ||
      header->lane_id != d->lane_id)
    return client_.broken("the lane in Declared");
  lane_ = std::move(*lane);
  page_memory_ = std::move(*page);
  page_ = reinterpret_cast<const NodePage*>(page_memory_.data());
  writer_ = LaneWriter(lane_.data(), d->geometry, page_);
  lane_id_ = d->lane_id;
  bell_slot_ = d->bell_slot;
  client_.add(this);
  answer.fds[0].reset();
  answer.fds[1].reset();
  attach::Mapped mapped;
  mapped.lane_id = lane_id_;
  client_.post(mapped);
  return Errc::kOk;
}

void Sender::close() {
  for (uint32_t i = 0; i < kMaxReaders; i++)
    drop(i);
  say_goodbye();
  client_.remove(this);
  Client& client = client_;
  delete this;
  client.let_go();
}

void Sender::say_goodbye() const {
  if (lane_id_ == 0) return;
  attach::CloseLane c;
  c.lane_id = lane_id_;
  client_.post(c);
}

Result<uint32_t> Sender::topic(std::string_view name) {
  const std::string key(name);
  if (const auto known = topics_.find(key); known != topics_.end()) return known->second;
  if (!valid_topic(name))
    return fail(Errc::kBadTopic,
                "\"%.*s\" is no topic: words separated by dots, none empty, no * or #, at most %u "
                "bytes",
                static_cast<int>(std::min<size_t>(name.size(), kMaxTopicName)), name.data(),
                kMaxTopicName);
  if (client_.state() != Client::State::kUp) return fail(Errc::kClosed, "the node is gone");
  if (page_->closed.load() != 0)
    return fail(Errc::kClosed, "the node has ended this sender's lane");
  // What the node refused has its row already.
  const auto tried = tried_.find(key);
  const auto row =
      tried != tried_.end() ? Result<uint32_t>(tried->second) : writer_.add_topic(name);
  if (!row.ok())
    return fail(row.error(),
                "no room for topic %s: a sender with more topics is declared with a "
                "larger max_topics than %u",
                key.c_str(), writer_.geometry().topics);
  tried_[key] = *row;
  topic_ready_.resize(std::max<size_t>(topic_ready_.size(), *row + 1), 0);
  attach::AddTopic ask;
  ask.lane_id = lane_id_;
  ask.topic = *row;
  std::memcpy(ask.name, name.data(), name.size());
  Packet answer;
  if (const Errc e = client_.ask(ask, attach::Type::kOk, answer); e != Errc::kOk) return e;
  tried_.erase(key);
  topic_ready_[*row] = 1;
  topics_.emplace(key, *row);
  return *row;
}

bool Sender::reader_came(const attach::Reader& r, Packet& packet) {
  if (r.index >= kMaxReaders || r.slot >= kPositionSlots || packet.fd_count == 0) return false;
  Wake wake;
  if (r.worker >= 0) {
    if (!client_.worker_wake(r.worker, bell_slot_, wake)) return false;
  } else {
    if (packet.fd_count != 2) return false;
    wake.event_fd = packet.fds[1].get();
  }
  drop(r.index);
  const auto table = client_.tables().use(r.table, packet.fds[0].get());
  if (!table.ok()) return false;
  Known& known = readers_[r.index];
  known.here = true;
  known.generation = r.generation;
  known.table = r.table;
  if (r.worker < 0) known.event = std::move(packet.fds[1]);
  writer_.attach_reader(r.index, r.generation, &(*table)->slots[r.slot], wake);
  return true;
}

void Sender::reader_gone(const attach::ReaderGone& gone) {
  if (gone.index >= kMaxReaders || readers_[gone.index].generation != gone.generation) return;
  drop(gone.index);
}

void Sender::drop(uint32_t index) {
  Known& known = readers_[index];
  if (!known.here) return;
  writer_.detach_reader(index);
  known.event.reset();
  known.here = false;
  client_.tables().drop(known.table);
}

}  // namespace penstock::client
