// What a sender does when the way is not free.
#include "dataplane/client/sender.h"

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "dataplane/base/clock.h"
#include "dataplane/base/idle.h"
#include "dataplane/client/last_error.h"

namespace penstock::client {
namespace {

constexpr uint64_t kBlockedGapNs = 50'000;    // between looks at the socket while blocked
constexpr uint64_t kMostSleepNs = 1'000'000;  // readers don't wake writers, so not for long
constexpr uint64_t kFirstSleepNs = 50'000;

}  // namespace

// Readers came or went, or it is time again.
Errc Sender::look_around() {
  const uint64_t generation = page_->generation.load();
  if (generation != seen_generation_) {
    seen_generation_ = generation;
    pacer_.soon();  // the packet that says who may be on its way still
    writer_.refresh();
  }
  const bool closed = page_->closed.load() != 0;  // what the node says of it has come by then
  client_.drain();
  if (client_.state() == Client::State::kUp && !closed) return Errc::kOk;
  look_next();
  return over();
}

Errc Sender::over() const {
  if (client_.state() != Client::State::kUp) return fail(Errc::kClosed, "%s", client_.gone());
  return fail(Errc::kClosed, "%s",
              *taken_away_ != 0 ? taken_away_ : "the node has closed the lane");
}

Errc Sender::sent_late() {
  client_.drain();
  return over();
}

void Sender::taken_away(const char* why) {
  std::snprintf(taken_away_, sizeof taken_away_, "the node said: %s", why);
}

// It is time to look around, readers have changed, or a pusher has nobody to push to.
Errc Sender::loan_slowly(uint64_t len, void*& out) {
  most_ = 0;
  if (page_->generation.load() != seen_generation_ || pacer_.decide()) {
    if (const Errc e = look_around(); e != Errc::kOk) return e;
  }
  if (pusher_ && writer_.reader_count() == 0) return count(Errc::kNoRoute);
  std::byte* room = writer_.loan(len);
  if (room == nullptr) return no_room(len, out);
  out = room;
  most_ = len + 1;
  return Errc::kOk;
}

Errc Sender::no_room(uint64_t len, void*& out) {
  most_ = 0;
  if (!writer_.fits(len)) return Errc::kTooBig;
  if (!pacer_.due_after(kBlockedGapNs, Clock::raw_ns())) return count(Errc::kWouldBlock);
  if (const Errc e = look_around(); e != Errc::kOk) return e;
  std::byte* room = writer_.loan(len);
  if (room == nullptr) return count(Errc::kWouldBlock);
  out = room;
  most_ = len + 1;
  return Errc::kOk;
}

Errc Sender::count(Errc e) {
  if (e == Errc::kWouldBlock) stats_.would_block++;
  if (e == Errc::kNoRoute) stats_.no_route++;
  return e;
}

// Not the topic of the message before, or with a timestamp.
Errc Sender::commit_slowly(uint32_t topic, uint64_t key, uint64_t len) {
  if (!has_topic(topic)) return Errc::kBadTopic;
  publish_any({.topic = topic, .key = key}, len);
  if (!stamp_) last_topic_ = topic;
  return sent();
}

void Sender::publish_any(Meta meta, uint64_t len) {
  if (stamp_) {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    meta.time_ns =
        static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
  }
  most_ = 0;
  bytes_ += len;
  writer_.commit(meta, len);
}

Errc Sender::sendv(uint32_t topic, uint64_t key,
                   std::span<const std::span<const std::byte>> parts) {
  if (parts.empty() || parts.size() > UINT16_MAX) return Errc::kInvalid;
  if (parts.size() == 1) return send(topic, key, parts[0]);
  if (!has_topic(topic)) return Errc::kBadTopic;
  for (const auto& p : parts)
    if (p.size() > UINT32_MAX) return Errc::kTooBig;
  const uint64_t len = parts_bytes(parts);
  void* to = nullptr;
  if (const Errc e = loan(len, to); e != Errc::kOk) return e;
  write_parts(parts, static_cast<std::byte*>(to));
  publish_any({.topic = topic, .parts = static_cast<uint16_t>(parts.size()), .key = key}, len);
  return sent();
}

Errc Sender::send_wait(uint32_t topic, uint64_t key, std::span<const std::byte> bytes,
                       int64_t timeout_ns) {
  Errc e = send(topic, key, bytes);
  if (e == Errc::kOk) return e;
  const uint64_t blocked = stats_.would_block;
  const uint64_t alone = stats_.no_route;
  const uint64_t start = Clock::raw_ns();
  Idle idle;
  idle.turn(1, start);
  uint64_t nap_ns = kFirstSleepNs;
  while (e == Errc::kWouldBlock || e == Errc::kNoRoute) {
    const uint64_t now = Clock::raw_ns();
    const uint64_t waited = now - start;
    if (timeout_ns >= 0 && waited >= static_cast<uint64_t>(timeout_ns)) return e;
    if (idle.turn(0, now) != 0) {
      const timespec nap{0, static_cast<long>(nap_ns)};
      nanosleep(&nap, nullptr);
      nap_ns = std::min(nap_ns * 2, kMostSleepNs);
    }
    e = send(topic, key, bytes);
    stats_.would_block = blocked;  // it counts once, however often it is tried
    stats_.no_route = alone;
  }
  return e;
}

void Sender::read_stats(penstock_sender_stats& out) {
  out = stats_;
  out.sent = writer_.head();
  out.bytes = bytes_;
  out.readers = writer_.has_readers() ? writer_.reader_count() : 0;
  out.topics = writer_.topic_count();
}

}  // namespace penstock::client
