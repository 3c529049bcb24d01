// Each message of a group goes to one member: which one, when it waits, and who gets it when a
// member goes.
#include "dataplane/group.h"

#include <gtest/gtest.h>
#include <memory>
#include <vector>

#include "dataplane/link/in_lane.h"
#include "tests/dataplane/worker/group_rig.h"
#include "tests/dataplane/worker/link_pair.h"
#include "tests/support/test_lane.h"

namespace penstock {
namespace {

using test::GroupTest;
using test::Inbox;
using test::kInbox;
using test::kLane;
using test::LinkPair;
using test::Numbers;
using test::TestLane;

TEST_F(GroupTest, AmongEqualsTheNextInTurnTakesIt) {
  Inbox a, b, c;
  join({&a, &b, &c});
  push(6);
  EXPECT_EQ(poll(), 6u);
  EXPECT_EQ(a.take(), (Numbers{0, 3}));
  EXPECT_EQ(b.take(), (Numbers{1, 4}));
  EXPECT_EQ(c.take(), (Numbers{2, 5}));
  EXPECT_EQ(a.member.delivered.read(), 2u);
  EXPECT_EQ(source.dispatched().read(), 6u);
}

TEST_F(GroupTest, TheTurnGoesOnWhereItStopped) {
  Inbox a, b;
  join({&a, &b});
  for (uint64_t n = 0; n < 6; n++) {
    push(1);
    poll();
    EXPECT_EQ((n % 2 == 0 ? a : b).take(), Numbers{n});
  }
}

TEST_F(GroupTest, WhoHasMostRoomTakesIt) {
  Inbox slow, quick;
  join({&slow, &quick});
  push(6);
  poll();
  quick.take();
  push(3);
  poll();
  EXPECT_EQ(quick.take(), (Numbers{6, 7, 8}));
  EXPECT_EQ(slow.take(), (Numbers{0, 2, 4}));
}

TEST_F(GroupTest, RoomIsAShareOfTheInboxNotANumber) {
  Inbox small;
  Inbox large({.ring_log2 = 5, .arena_log2 = 13, .topics = 4});
  join({&small, &large});
  push(10);
  poll();
  EXPECT_EQ(small.take().size(), 2u);
  EXPECT_EQ(large.take().size(), 8u);
}

TEST_F(GroupTest, AKeyStaysWithItsMember) {
  Inbox a, b, c;
  join({&a, &b, &c});
  std::vector<Numbers> seen(3);
  for (int round = 0; round < 4; round++) {
    for (uint64_t key = 1; key <= 16; key++) {
      push(1, {.key = key});
      poll();
      for (Inbox* i : {&a, &b, &c})
        if (!i->take().empty())
          seen[static_cast<size_t>(i == &b ? 1 : i == &c ? 2 : 0)].push_back(i->key);
    }
  }
  for (const Numbers& keys : seen) {
    ASSERT_GE(keys.size(), 4u);  // no member is left out
    const size_t once = keys.size() / 4;
    for (size_t i = once; i < keys.size(); i++)
      EXPECT_EQ(keys[i], keys[i - once]);
  }
}

TEST_F(GroupTest, AKeyWaitsForItsMemberAndTheRestWaitBehindIt) {
  Inbox a, b;
  join({&a, &b});
  EXPECT_EQ(push(8, {.key = 1}), 8u);
  EXPECT_EQ(poll(), 8u);
  push(1, {.key = 1});
  push(1);
  EXPECT_EQ(poll(), 0u);
  EXPECT_FALSE(source.quiet());
  Inbox& full = a.reader.ready() ? a : b;
  Inbox& other = &full == &a ? b : a;
  EXPECT_TRUE(other.take().empty());
  full.take();
  EXPECT_EQ(poll(), 2u);
  EXPECT_EQ(full.take().front(), 8u);
}

// It is not ready yet, or ends and waits for its device: its keys are the others' meanwhile.
TEST_F(GroupTest, AKeyDoesNotWaitForAPeerThatTakesNothing) {
  Inbox a;
  join({&a});
  RemoteMember leaving(source.reader(), nullptr, 5, 1, kInbox, nullptr);
  source.add_remote(&leaving);
  leaving.allow(0);
  leaving.take_no_more();
  for (uint64_t key = 1; key <= 16; key++) {
    push(1, {.key = key});
    EXPECT_EQ(poll(), 1u) << "key " << key;
    EXPECT_EQ(a.take(), Numbers{key - 1});
  }
  source.remove_remote(&leaving);
}

TEST_F(GroupTest, FullOrWithoutMembersTheMessagesStayWithThePusher) {
  push(4);
  EXPECT_EQ(poll(), 0u);
  EXPECT_EQ(source.reader().released(), 0u);
  Inbox a;
  join({&a});
  for (int i = 0; i < 5; i++) {
    push(64);
    poll();
  }
  EXPECT_EQ(push(1), 0u);
  EXPECT_EQ(next, kInbox.ring_size() + kLane.ring_size());
  EXPECT_EQ(a.take().size(), kInbox.ring_size());
  EXPECT_EQ(poll(), kInbox.ring_size());
  EXPECT_EQ(push(64), kInbox.ring_size());
}

TEST_F(GroupTest, AMemberThatGoesLeavesItsShareToTheOthers) {
  Inbox a, b;
  join({&a, &b});
  push(8, {.key = 1});
  poll();
  Inbox& first = a.reader.ready() ? a : b;
  Inbox& other = &first == &a ? b : a;
  push(1, {.key = 1});
  ASSERT_EQ(poll(), 0u);  // waits for `first`, which is full
  group.remove(&first.member);
  EXPECT_EQ(poll(), 1u);
  EXPECT_EQ(other.take(), Numbers{8});
}

// What a member had not let go of when it went is a source like any other, from there on.
TEST_F(GroupTest, TheInboxOfAMemberThatWentGoesToTheOthers) {
  Inbox gone, stays;
  join({&gone});
  source.set_topic(0, 2);
  push(5, {.key = 9});
  poll();
  EXPECT_EQ(gone.take(2), (Numbers{0, 1}));
  group.remove(&gone.member);
  join({&stays});
  LaneReader::Join rest = gone.reader.join();
  rest.start = gone.reader.released();
  GroupSource inherited(rest, group);
  inherited.set_topic(2, 2);
  EXPECT_EQ(inherited.poll(0), 3u);
  EXPECT_EQ(stays.take(), (Numbers{2, 3, 4}));
  EXPECT_EQ(stays.topic, 2u);
  EXPECT_EQ(stays.key, 9u);
  EXPECT_EQ(gone.reader.released(), 5u);
}

TEST_F(GroupTest, AnUndecidedTopicWaitsAndKeepsTheOrder) {
  Inbox a;
  join({&a});
  push(1, {.topic = 0});
  push(1, {.topic = 1});
  push(1, {.topic = 0});
  EXPECT_EQ(poll(), 1u);
  EXPECT_FALSE(source.quiet());
  EXPECT_EQ(source.reader().released(), 1u);
  source.set_topic(1, 3);
  EXPECT_EQ(poll(), 2u);
  EXPECT_EQ(a.take(2), (Numbers{0, 1}));
  EXPECT_EQ(a.topic, 3u);
  EXPECT_EQ(a.take(), Numbers{2});
}

TEST_F(GroupTest, ATopicOfOthersIsSkippedAndLetGoOf) {
  Inbox a;
  join({&a});
  source.set_topic(1, kNoTopic);
  push(3, {.topic = 1});
  push(1);
  EXPECT_EQ(poll(), 4u);
  EXPECT_EQ(a.take(), Numbers{3});
  EXPECT_EQ(source.skipped().read(), 3u);
  EXPECT_EQ(source.reader().released(), 4u);
}

TEST_F(GroupTest, WhatNoInboxCanHoldIsToldAsAGap) {
  Inbox a;
  join({&a});
  push_bytes(kInbox.arena_size() + 1);
  push(1);
  EXPECT_EQ(poll(), 2u);
  Message m;
  ASSERT_EQ(a.reader.next(m), LaneReader::Next::kGap);
  EXPECT_EQ(m.key, 1u);
  EXPECT_EQ(m.parts, static_cast<uint16_t>(Drop::kTooBig));
  EXPECT_EQ(a.take(), Numbers{0});
  EXPECT_EQ(source.too_big().read(), 1u);
}

TEST_F(GroupTest, AGapWaitsForRoomLikeAMessage) {
  Inbox a;
  join({&a});
  push(8);
  ASSERT_EQ(poll(), 8u);
  push_bytes(kInbox.arena_size() + 1, {.key = 1});
  EXPECT_EQ(poll(), 0u);
  EXPECT_EQ(a.take(), (Numbers{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(poll(), 1u);
}

TEST_F(GroupTest, MessagesThatItsLaneCouldNotGiveAreCounted) {
  Inbox a;
  join({&a});
  lane.writer().loan(0);
  lane.writer().commit({.topic = 0, .parts = 1, .flags = kFlagGap, .time_ns = 0, .key = 7}, 0);
  push(1);
  EXPECT_EQ(poll(), 2u);
  EXPECT_EQ(source.gaps().read(), 7u);
  EXPECT_EQ(a.take(), Numbers{0});
}

// Members at a peer, behind a mirror of eight places.
class RemoteGroupTest : public GroupTest {
 protected:
  RemoteGroupTest()
      : remote(source.reader(), &links.here, 5, 1, kInbox, &lane.region()),
        in(5, 1, mirror.writer(), 1),
        reader(mirror.read()) {
    EXPECT_EQ(links.there.link.add_in(&in), Errc::kOk);
    EXPECT_EQ(links.here.link.add_out(&remote.out()), Errc::kOk);
    source.add_remote(&remote);
  }
  Numbers arrived() {
    Numbers all;
    Message m;
    while (reader.next(m) == LaneReader::Next::kMessage) {
      uint64_t n = 0;
      std::memcpy(&n, m.data, sizeof n);
      all.push_back(n);
    }
    reader.release();
    return all;
  }

  LinkPair links;
  TestLane mirror{kInbox, 2};
  RemoteMember remote;
  InLane in;
  LaneReader reader;
};

TEST_F(RemoteGroupTest, IsOneMoreChoiceForEachMessage) {
  Inbox a;
  join({&a});
  remote.allow(0);
  push(6);
  EXPECT_EQ(poll(), 6u);
  links.settle();
  EXPECT_EQ(a.take(), (Numbers{0, 2, 4}));
  EXPECT_EQ(arrived(), (Numbers{1, 3, 5}));
}

TEST_F(RemoteGroupTest, GetsNoTopicBeforeItsMembersHaveJoined) {
  push(2);
  EXPECT_EQ(poll(), 0u);
  remote.allow(0);
  EXPECT_EQ(poll(), 2u);
  links.settle();
  EXPECT_EQ(arrived(), (Numbers{0, 1}));
}

TEST_F(RemoteGroupTest, MeanwhileTheMembersHereTakeAll) {
  Inbox a;
  join({&a});
  push(4);
  EXPECT_EQ(poll(), 4u);
  EXPECT_EQ(a.take(), (Numbers{0, 1, 2, 3}));
}

TEST_F(RemoteGroupTest, TheLaneIsHeldUntilItHasArrived) {
  Inbox a;
  join({&a});
  remote.allow(0);
  push(4);  // 0 and 2 stay here, 1 and 3 go over
  poll();
  EXPECT_EQ(source.reader().released(), 1u);
  links.settle();
  EXPECT_EQ(source.reader().released(), 4u);
}

TEST_F(RemoteGroupTest, TakesWhatItsMirrorHasRoomFor) {
  remote.allow(0);
  push(20);
  EXPECT_EQ(poll(), kInbox.ring_size());
  EXPECT_EQ(remote.room(), 0u);
  links.settle();
  EXPECT_EQ(poll(), kInbox.ring_size());  // arrived, though nobody reads it there
  Numbers all;
  for (int i = 0; i < 20 && all.size() < 20; i++) {
    for (const uint64_t n : arrived())
      all.push_back(n);
    links.settle();
    poll();
  }
  ASSERT_EQ(all.size(), 20u);
  for (uint64_t i = 0; i < 20; i++)
    EXPECT_EQ(all[i], i);
}

TEST_F(RemoteGroupTest, WhenItGoesTheRestStaysHere) {
  remote.allow(0);
  push(2);
  poll();
  EXPECT_EQ(source.reader().released(), 0u);
  source.remove_remote(&remote);
  ASSERT_EQ(links.here.link.remove_out(5), Errc::kOk);
  Inbox a;
  join({&a});
  push(3);
  EXPECT_EQ(poll(), 3u);
  EXPECT_EQ(a.take(), (Numbers{2, 3, 4}));
  EXPECT_EQ(source.reader().released(), 5u);  // what was under way is its owner's to count
}

TEST_F(RemoteGroupTest, WhatItsPublisherChangedMeanwhileGoesAsAGap) {
  remote.allow(0);
  push(1);
  poll();
  // The publisher breaks its word and writes over what it had sent.
  LaneReader& r = source.reader();
  auto* ring =
      reinterpret_cast<Descriptor*>(const_cast<std::byte*>(r.join().memory + kLane.ring_at()));
  ring[0].stamp.store(99);
  links.settle();
  Message m;
  ASSERT_EQ(reader.next(m), LaneReader::Next::kGap);
  EXPECT_EQ(m.parts, static_cast<uint16_t>(Drop::kMalformed));
}

}  // namespace
}  // namespace penstock
