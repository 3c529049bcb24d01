// A mirror's messages that come by a relay, and what of them may go on to others.
#include <algorithm>

#include "dataplane/link/in_lane.h"
#include "dataplane/wire/relay.h"

namespace penstock {

void InLane::expect(uint64_t position, uint64_t node) {
  for (RelayedLane::Expected& e : relay_.expected)
    if (e.node == node && e.position == position) return;
  relay_.expected[relay_.next++ % relay_.expected.size()] = {position, node};
}

Drop InLane::on_announced(const Fragment& f, uint32_t part) {
  const uint64_t position = f.header.position;
  Waiting& w = ring_[position & ring_mask_];
  const bool framed = w.state != State::kEmpty && w.framed;
  const Drop d = on_piece(f, part);
  if (d == Drop::kNone && static_cast<int64_t>(position - head_) >= 0) w.framed = framed;
  return d;
}

// Where the message lies, and what else there is to know of it, its source has said.
Drop InLane::on_relayed(uint64_t node, const Relayed& r, uint32_t part) {
  const RelayedHeader& h = r.header;
  if (static_cast<int64_t>(h.position - head_) < 0) return Drop::kDuplicate;
  if (h.position - head_ > ring_mask_) return Drop::kNoCredit;
  const bool expected = std::ranges::any_of(
      relay_.expected, [&](const auto& e) { return e.node == node && e.position == h.position; });
  Waiting& w = ring_[h.position & ring_mask_];
  if (!expected || node == 0 || w.state == State::kEmpty) return Drop::kNoLane;
  if (h.offset >= w.len || h.piece_len > w.len - h.offset) return Drop::kBadFrame;
  if (h.piece_len % kArenaAlign != 0 && h.piece_len != w.len - h.offset) return Drop::kBadFrame;
  if (h.digest && (w.len <= kDigestFrom || h.piece_len != w.len - h.offset)) return Drop::kBadFrame;
  if (h.digest) digest(w).say(*h.digest);
  return take_piece(w, h.offset, r.piece, part);
}

uint64_t InLane::landed(const Passing& p, uint64_t offset, uint64_t most) const {
  const uint64_t put = put_ ? granted_.arena + arena_size_ : 0;  // may be written by now
  if (std::max({fill_, reach_, put}) > p.arena + arena_size_) return kGone;
  const bool published = static_cast<int64_t>(p.position - head_) < 0;
  const Waiting& w = ring_[p.position & ring_mask_];
  if (!published && w.state == State::kEmpty) return 0;
  // Its slot may be another's by now, or it became a gap.
  if (w.arena != p.arena || w.len != p.len || (w.flags & kFlagGap) != 0) return kGone;
  most = std::min(most, p.len - offset);
  if (published || w.state == State::kWhole) return most;
  return std::min(most, blocks_.run(p.arena + offset, most) * kArenaAlign);
}

const std::byte* InLane::bytes_of(const Passing& p, uint64_t offset, uint64_t len) {
  return mirror_.at(p.arena + offset, len);
}

std::optional<uint32_t> InLane::digest_of(const Passing& p, uint64_t offset, uint64_t len) const {
  if (p.len <= kDigestFrom || offset + len != p.len) return std::nullopt;
  return digests_[p.position & ring_mask_].said();
}

// The first of those that no relay brings any more.
Landed InLane::refusal() {
  const uint64_t position = relay_.refused.front();
  relay_.refused.erase(relay_.refused.begin());
  const Waiting& w = ring_[position & ring_mask_];
  if (has_whole(position) || w.state != State::kPieces) return report();
  const uint64_t here = blocks_.run(w.arena, w.len) * kArenaAlign;
  return {alias_, epoch_, position, Landed::kRefused | std::min(here, w.len)};
}

// All before the head are here; of the message there, its beginning.
Landed InLane::report() {
  constexpr uint64_t kStretch = 1 << 20;
  if (relay_.report_position != head_) relay_.report_landed = 0;
  relay_.report_position = head_;
  const Waiting& w = ring_[head_ & ring_mask_];
  if (w.state == State::kPieces) {
    uint64_t& at = relay_.report_landed;
    while (at < w.len) {
      const uint64_t run = blocks_.run(w.arena + at, std::min(w.len - at, kStretch));
      if (run == 0) break;
      at += run * kArenaAlign;
    }
  }
  relay_.news = 0;
  return {alias_, epoch_, head_, std::min(relay_.report_landed, w.len)};
}

}  // namespace penstock
