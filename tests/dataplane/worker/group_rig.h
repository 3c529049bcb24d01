// What tests of groups have in common: members here with their inboxes, and a lane that is pushed
// to.
#pragma once

#include <cstring>
#include <gtest/gtest.h>
#include <initializer_list>
#include <span>
#include <vector>

#include "dataplane/group.h"
#include "tests/support/test_lane.h"

namespace penstock::test {

using Numbers = std::vector<uint64_t>;

inline constexpr LaneGeometry kLane{.ring_log2 = 5, .arena_log2 = 16, .topics = 4};
inline constexpr LaneGeometry kInbox{.ring_log2 = 3, .arena_log2 = 13, .topics = 4};

// A member here: an inbox and the client that reads it.
struct Inbox {
  explicit Inbox(const LaneGeometry& g = kInbox) : lane(g), reader(lane.read()) {
    member.inbox = &lane.writer();
  }
  // The numbers of what has come, up to `most`, which is let go of.
  Numbers take(size_t most = SIZE_MAX) {
    Numbers all;
    Message m;
    while (all.size() < most && reader.next(m) == LaneReader::Next::kMessage) {
      uint64_t n = 0;
      std::memcpy(&n, m.data, sizeof n);
      all.push_back(n);
      topic = m.topic;
      key = m.key;
    }
    reader.release();
    return all;
  }

  TestLane lane;
  LaneReader reader;
  GroupMember member;
  uint32_t topic = 0;  // of the last message taken
  uint64_t key = 0;
};

class GroupTest : public ::testing::Test {
 protected:
  GroupTest() { source.set_topic(0, 0); }

  void join(std::initializer_list<Inbox*> inboxes) {
    for (Inbox* i : inboxes)
      group.add(&i->member);
  }
  // Messages that say their numbers. Returns how many the lane took.
  uint32_t push(uint32_t count, const Meta& meta = {}) {
    uint32_t done = 0;
    while (done < count &&
           lane.writer().send(meta, std::as_bytes(std::span(&next, 1))) == Errc::kOk) {
      next++;
      done++;
    }
    return done;
  }
  void push_bytes(uint64_t len, const Meta& meta = {}) {
    const std::vector<std::byte> bytes(len);
    ASSERT_EQ(lane.writer().send(meta, bytes), Errc::kOk);
  }
  uint32_t poll() { return source.poll(0); }

  TestLane lane{kLane};
  Group group;
  GroupSource source{lane.read().join(), group};
  uint64_t next = 0;
};

}  // namespace penstock::test
