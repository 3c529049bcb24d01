#include "dataplane/forward.h"

#include <algorithm>
#include <utility>

#include "dataplane/base/drop.h"

namespace penstock {

Forward::Forward(const Config& config)
    : LaneTask(config.join),
      path_(config.path),
      region_(config.region),
      given_end_(config.join.start),
      released_end_(config.join.start),
      missed_(config.missed),
      shed_(config.shed),
      use_(config.join.geometry.topics, config.every_topic ? TopicUse::kSend : TopicUse::kUnknown),
      out_(config.alias, config.epoch, config.mirror, *this) {
  taken_.store(config.join.start);
  out_.hold_for_puts(shed_.hold_from);
  if (config.chain != nullptr) out_.set_seat(&seat_.emplace(*config.chain, out_));
}

void Forward::set_topic(uint32_t topic, TopicUse use) {
  if (topic < use_.size()) use_[topic] = use;
}

void Forward::set_shed(const Shed& shed) {
  shed_ = shed;
  out_.hold_for_puts(shed.hold_from);
  path_->link.wake(&out_);
}

// The link asks for messages when it has room and stops asking when it found none; all there is to
// do is to tell it that some came, and to let go of a tail that nobody wanted.
uint32_t Forward::poll(uint64_t /*now*/) {
  if (shed_.may) pass_over();
  asked_ = false;
  if (dry_ && !full() &&
      (passed_.count != 0 || reader_.ready() || (held_ && decided(held_message_)))) {
    dry_ = false;
    path_->link.wake(&out_);
  }
  if (released_end_ == given_end_ && !held_ && reader_.released() != reader_.position())
    reader_.release();
  return 0;
}

size_t Forward::next(std::span<Message> out) {
  size_t n = 0;
  asked_ = true;
  if (missed_ != 0 && !out.empty()) [[unlikely]]
    out[n++] = missed_notice();
  if (passed_.count != 0 && n < out.size()) [[unlikely]]
    out[n++] = passed_notice();
  while (n < out.size() && !full()) {
    if (held_) {
      out[n] = held_message_;
      held_ = false;
    } else if (reader_.next(out[n]) == LaneReader::Next::kEmpty) {
      break;
    }
    const Message& m = out[n];
    if ((m.flags & kFlagGap) == 0) {
      const TopicUse use = use_[m.topic];
      if (use == TopicUse::kSkip || use == TopicUse::kRefuse) {
        (use == TopicUse::kSkip ? skipped_ : refused_).add(1);
        continue;
      }
      if (use == TopicUse::kUnknown) {
        held_message_ = m;
        held_ = true;
        break;
      }
    } else {
      gaps_.add(1);
    }
    given_end_ = m.position + 1;
    given_arena_ = arena_next(m.arena_pos, m.len);
    n++;
  }
  taken_.store(held_ ? held_message_.position : reader_.position());
  dry_ = n == 0;
  return n;
}

bool Forward::decided(const Message& m) const {
  return (m.flags & kFlagGap) != 0 || use_[m.topic] != TopicUse::kUnknown;
}

// It stands before the first message, with no place of its own in the lane.
Message Forward::missed_notice() {
  Message m{};
  const uint64_t start = reader_.join().start;
  m.position = m.source = start - missed_;
  m.key = std::exchange(missed_, 0);
  m.parts = static_cast<uint16_t>(Drop::kPeerDown);
  m.flags = kFlagGap;
  gaps_.add(1);
  given_end_ = start;
  return m;
}

Message Forward::passed_notice() {
  Message m{};
  m.position = m.source = passed_.from;
  m.key = std::exchange(passed_.count, 0);
  m.parts = static_cast<uint16_t>(Drop::kOverrun);
  m.flags = kFlagGap;
  gaps_.add(1);
  given_end_ = m.position + 1;
  return m;
}

// Half of the lane is on its way, and what may be passed over must not be.
bool Forward::full() const {
  if (!shed_.may || given_end_ == released_end_) return false;
  const LaneGeometry& lane = reader_.join().geometry;
  if (given_end_ - released_end_ >= lane.ring_size() / 2) return true;
  Message m;
  if (!reader_.look(released_end_, m)) return false;
  // A notice takes no place in the arena, so the last message given may lie behind this one.
  return static_cast<int64_t>(given_arena_ - m.arena_pos) >=
         static_cast<int64_t>(lane.arena_size() / 2);
}

// The newest always stays. A topic that control has not decided about, and what makes no sense, are
// left to next().
void Forward::pass_over() {
  const uint64_t head = reader_.newest();
  Message m;
  if (held_ || head <= reader_.position() + 1 || !reader_.look(head - 1, m)) return;
  const uint64_t end = arena_next(m.arena_pos, m.len);
  const LaneGeometry& lane = reader_.join().geometry;
  uint64_t messages = lane.ring_size() / 4;
  uint64_t bytes = lane.arena_size() / 4;
  if (!asked_ && shed_.messages != 0) messages = std::min(messages, shed_.messages);
  if (!asked_ && shed_.bytes != 0) bytes = std::min(bytes, shed_.bytes);
  for (uint32_t n = 0; n < kMostPassed && reader_.position() + 1 < head; n++) {
    const uint64_t at = reader_.position();
    if (!reader_.look(at, m) || (head - at <= messages && end - m.arena_pos <= bytes)) break;
    const TopicUse use = use_[m.topic];
    if (use == TopicUse::kUnknown) break;
    const LaneReader::Next next = reader_.next(m);
    if (next == LaneReader::Next::kGap) {  // its publisher scribbled: told like any other
      held_message_ = m;
      held_ = true;
    }
    if (next != LaneReader::Next::kMessage) break;
    if (use != TopicUse::kSend) {
      (use == TopicUse::kSkip ? skipped_ : refused_).add(1);
      continue;
    }
    if (passed_.count++ == 0) passed_.from = at;
    passed_over_.add(1);
  }
  taken_.store(held_ ? held_message_.position : reader_.position());
}

bool Forward::look(uint64_t source_position, Message& m) {
  return reader_.look(source_position, m);
}

// What lies between the last message given and the reader was skipped and goes with it, except a
// held message and what follows it.
void Forward::released(uint64_t source_position) {
  released_end_ = std::max(released_end_, source_position);  // not of a notice before the start
  if (released_end_ != given_end_) {
    reader_.release_to(released_end_);
  } else {
    reader_.release_to(held_ ? held_message_.position : reader_.position());
  }
}

}  // namespace penstock
