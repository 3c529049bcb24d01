// What a sender does when the way is not free.
#include "dataplane/client/sender.h"

#include <algorithm>

#include "dataplane/base/clock.h"
#include "dataplane/base/idle.h"

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
  }
  client_.drain();
  if (client_.state() == Client::State::kUp && page_->closed.load() == 0) return Errc::kOk;
  look_next();
  return Errc::kClosed;
}

Errc Sender::no_room(uint64_t len, std::byte*& out) {
  if (!writer_.fits(len)) return Errc::kTooBig;
  if (!pacer_.due_after(kBlockedGapNs, Clock::raw_ns())) return Errc::kWouldBlock;
  if (const Errc e = look_around(); e != Errc::kOk) return e;
  out = writer_.loan(len);
  return out != nullptr ? Errc::kOk : Errc::kWouldBlock;
}

void Sender::count(Errc e) {
  if (e == Errc::kWouldBlock) stats_.would_block++;
  if (e == Errc::kNoRoute) stats_.no_route++;
}

Errc Sender::sendv(uint32_t topic, uint64_t key,
                   std::span<const std::span<const std::byte>> parts) {
  if (parts.empty() || parts.size() > UINT16_MAX) return Errc::kInvalid;
  if (parts.size() == 1) return send(topic, key, parts[0]);
  if (!has_topic(topic)) return Errc::kBadTopic;
  for (const auto& p : parts)
    if (p.size() > UINT32_MAX) return Errc::kTooBig;
  const uint64_t len = parts_bytes(parts);
  std::byte* to = nullptr;
  if (const Errc e = room(len, to); e != Errc::kOk) {
    count(e);
    return e;
  }
  write_parts(parts, to);
  publish(topic, static_cast<uint16_t>(parts.size()), key, len);
  return Errc::kOk;
}

Errc Sender::send_wait(uint32_t topic, uint64_t key, std::span<const std::byte> bytes,
                       int64_t timeout_ns) {
  Errc e = try_send(topic, key, bytes);
  if (e == Errc::kOk) return e;
  count(e);
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
    e = try_send(topic, key, bytes);
  }
  return e;
}

void Sender::read_stats(penstock_sender_stats& out) {
  out = stats_;
  out.readers = writer_.has_readers() ? writer_.reader_count() : 0;
  out.topics = writer_.topic_count();
}

}  // namespace penstock::client
