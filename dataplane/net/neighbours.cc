#include "dataplane/net/neighbours.h"

#include <algorithm>
#include <span>

namespace penstock {

Neighbours::Row* Neighbours::row(const IpAddress& ip) {
  for (Row& r : std::span(rows_).first(used_)) {
    if (r.state != State::kFree && r.ip == ip) return &r;
  }
  return nullptr;
}

Neighbours::Row* Neighbours::free_row() {
  for (Row& r : std::span(rows_).first(used_)) {
    if (r.state == State::kFree) return &r;
  }
  return used_ < rows_.size() ? &rows_[used_++] : nullptr;
}

Errc Neighbours::add_static(const IpAddress& ip, const MacAddress& mac) {
  Row* r = row(ip);
  if (r == nullptr) r = free_row();
  if (r == nullptr) return Errc::kFull;
  *r = {State::kStatic, ip, mac, kNever, 0};
  return Errc::kOk;
}

Errc Neighbours::want(const IpAddress& ip, uint64_t now) {
  if (row(ip) != nullptr) return Errc::kOk;
  Row* r = free_row();
  if (r == nullptr) return Errc::kFull;
  *r = {State::kAsking, ip, {}, now, kFirstRetryNs};
  return Errc::kOk;
}

void Neighbours::forget(const IpAddress& ip) {
  if (Row* r = row(ip); r != nullptr && r->state != State::kStatic) *r = {};
}

const MacAddress* Neighbours::find(const IpAddress& ip) const {
  for (const Row& r : std::span(rows_).first(used_)) {
    if ((r.state == State::kKnown || r.state == State::kStatic) && r.ip == ip) return &r.mac;
  }
  return nullptr;
}

bool Neighbours::learn(const IpAddress& ip, const MacAddress& mac, uint64_t now) {
  Row* r = row(ip);
  if (r == nullptr || r->state == State::kStatic) return false;
  const bool changed = r->state != State::kKnown || r->mac != mac;
  *r = {State::kKnown, ip, mac, now + kRefreshNs, kFirstRetryNs};
  return changed;
}

std::optional<IpAddress> Neighbours::take_due(uint64_t now) {
  for (Row& r : std::span(rows_).first(used_)) {
    if (r.state == State::kFree || r.due > now) continue;
    r.due = now + r.retry_ns;
    r.retry_ns = std::min(2 * r.retry_ns, kLastRetryNs);
    return r.ip;
  }
  return std::nullopt;
}

uint64_t Neighbours::next_due() const {
  uint64_t due = kNever;
  for (const Row& r : std::span(rows_).first(used_)) {
    due = std::min(due, r.due);
  }
  return due;
}

}  // namespace penstock
