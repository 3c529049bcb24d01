#include "control/membership/registry.h"

#include <fstream>

#include "control/store/static_store.h"
#include "tests/control/membership/registry_rig.h"
#include "tests/control/store/faulty_store.h"

namespace penstock::test {
namespace {

TEST_F(RegistryTest, TwoFindEachOther) {
  Host a(open(), 1, 1);
  Host b(open(), 2, 1);
  run(3000, a, b);
  EXPECT_EQ(a.ids(), std::set<uint64_t>{2});
  EXPECT_EQ(b.ids(), std::set<uint64_t>{1});
  EXPECT_EQ(a.members[2].ports, (std::vector<MemberPort>{{*parse_host("10.1.0.2"), 9470}}));
  EXPECT_TRUE(a.registry.registered());
  EXPECT_EQ(a.registry.trouble(), "");
}

TEST_F(RegistryTest, OneThatDiesIsGoneAfterItsLeaseAndTwoMore) {
  Host a(open(), 1, 1);
  Host b(open(), 2, 1);
  run(3000, a, b);
  run(kLease + 2 * kLease - 1000, a);
  EXPECT_EQ(a.ids(), std::set<uint64_t>{2});
  run(2000, a);
  EXPECT_TRUE(a.members.empty());
}

TEST_F(RegistryTest, OneThatComesBackIsTheSameMemberInALaterLife) {
  Host a(open(), 1, 1);
  {
    Host b(open(), 2, 1);
    run(3000, a, b);
  }
  EXPECT_EQ(*epoch_in_store(open(), 2), 1u);
  Host b(open(), 2, 2);
  run(3000, a, b);
  EXPECT_EQ(a.members[2].epoch, 2u);
  run(10 * kLease, a, b);
  EXPECT_EQ(a.lost, 0);
  EXPECT_EQ(*epoch_in_store(open(), 2), 2u);
}

TEST_F(RegistryTest, AnOutageShorterThanTheLeaseIsOverWhenItIsOver) {
  FaultyStore store(open(), 1);
  store.heal();
  Host a(store, 1, 1);
  run(3000, a);
  store.cut(true);
  run(kLease / 2, a);
  EXPECT_NE(a.registry.store_trouble(), "");
  store.cut(false);
  run(kLease, a);
  EXPECT_EQ(a.registry.store_trouble() + a.registry.trouble(), "");
  EXPECT_TRUE(a.registry.registered());
}

TEST_F(RegistryTest, TheEpochOfAnotherNodeIsNotOurs) {
  Host a(open(), 21, 9);
  run(1000, a);
  EXPECT_EQ(*epoch_in_store(open(), 2), 0u);
}

TEST_F(RegistryTest, NobodyLeavesWhileTheStoreIsAwayHoweverLong) {
  Host a(open(), 1, 1);
  Host b(open(), 2, 1);
  run(3000, a, b);
  wipe();
  std::filesystem::create_directory(folder.file("s.db"));  // which nobody can open
  run(600000, a, b);
  EXPECT_EQ(a.lost + b.lost, 0);
  EXPECT_NE(a.registry.store_trouble(), "");
  std::filesystem::remove(folder.file("s.db"));  // and comes back empty
  run(60000, a, b);
  EXPECT_EQ(a.lost + b.lost, 0);
  EXPECT_EQ(a.registry.store_trouble() + a.registry.trouble(), "");
  EXPECT_TRUE(a.registry.registered());
  EXPECT_TRUE(b.registry.registered());
}

TEST_F(RegistryTest, NobodyLeavesInAnOutageOfAWeek) {
  FaultyStore to_a(open(), 1), to_b(open(), 2), to_c(open(), 3);
  Host a(to_a, 1, 1), b(to_b, 2, 1), c(to_c, 3, 1);
  for (FaultyStore* s : {&to_a, &to_b, &to_c})
    s->heal();
  run(3000, a, b, c);
  for (FaultyStore* s : {&to_a, &to_b, &to_c})
    s->cut(true);
  for (const uint64_t until = now + uint64_t{7} * 24 * 3600 * 1000; now < until;) {
    now += 1'800'000;          // the machine stands still for half an hour,
    run(4 * kLease, a, b, c);  // and then goes on for long enough to miss somebody
  }
  EXPECT_EQ(a.ids(), (std::set<uint64_t>{2, 3}));
  for (FaultyStore* s : {&to_a, &to_b, &to_c})
    s->cut(false);
  run(10 * kLease, a, b, c);
  EXPECT_EQ(a.lost + b.lost + c.lost, 0);
  EXPECT_TRUE(a.registry.registered() && b.registry.registered() && c.registry.registered());
}

TEST_F(RegistryTest, AWipedStoreIsFilledAgainAndNobodyLeaves) {
  Host a(open(), 1, 4);
  Host b(open(), 2, 5);
  run(20000, a, b);
  wipe();
  run(60000, a, b);
  EXPECT_EQ(a.lost + b.lost, 0);
  EXPECT_EQ(*epoch_in_store(open(), 1), 4u);
  Host c(open(), 3, 1);
  run(3000, a, b, c);
  EXPECT_EQ(c.ids(), (std::set<uint64_t>{1, 2}));
}

TEST_F(RegistryTest, AnOutageIsNoTimeThatSomebodyWasMissing) {
  Host a(open(), 1, 1);
  {
    Host b(open(), 2, 1);
    run(3000, a, b);
  }
  run(kLease + kLease, a);  // missed for about one lease
  std::filesystem::rename(folder.file("s.db"), folder.file("away"));
  std::filesystem::create_directory(folder.file("s.db"));
  run(100 * kLease, a);
  EXPECT_EQ(a.lost, 0);
}

TEST_F(RegistryTest, WhoStoodStillBlamesItselfFirst) {
  Host a(open(), 1, 1);
  Host b(open(), 2, 1);
  run(3000, a, b);
  now += 100 * kLease;  // both stood still, and both leases are over
  a.poll(now);
  b.poll(now);
  run(20 * kLease, a, b);
  EXPECT_EQ(a.lost + b.lost, 0);
}

TEST_F(RegistryTest, AStallIsNoTimeThatSomebodyWasMissing) {
  Host a(open(), 1, 1);
  Host b(open(), 2, 1);
  run(3000, a, b);
  ASSERT_TRUE(open().txn({{}, {{"members/2", "", 0, true}}}));
  run(1000, a);         // a misses b,
  now += 100 * kLease;  // the machine stands still before b could write its row again,
  a.poll(now);          // and a is the first to wake
  run(20 * kLease, a, b);
  EXPECT_EQ(a.lost + b.lost, 0);
}

TEST_F(RegistryTest, AnEarlierLifeInARewoundStoreIsNoNews) {
  Host a(open(), 1, 1);
  Host b(open(), 2, 5);
  run(3000, a, b);
  Member before = a.members[2];
  before.epoch = 4;
  before.ports.clear();
  ASSERT_TRUE(open().txn({{}, {{"members/2", encode(before)}}}));
  run(4 * kLease, a);
  EXPECT_EQ(a.members[2].epoch, 5u);
  EXPECT_EQ(a.members[2].ports.size(), 1u);
}

TEST_F(RegistryTest, ALeaseEndedUnderALiveNodeIsTakenAnew) {
  Host a(open(), 1, 1);
  Host b(open(), 2, 1);
  run(3000, a, b);
  store::Store& operator_ = open();
  const auto row = operator_.range("members/2");
  ASSERT_TRUE(row && row->entries.size() == 1);
  ASSERT_TRUE(operator_.revoke(row->entries[0].lease));
  run(4 * kLease, a, b);
  EXPECT_EQ(a.lost, 0);
  EXPECT_EQ(operator_.range("members/")->entries.size(), 2u);
}

TEST_F(RegistryTest, ARowThatIsRemovedUnderALiveLeaseIsWrittenAgain) {
  Host a(open(), 1, 1);
  Host b(open(), 2, 1);
  run(3000, a, b);
  ASSERT_TRUE(open().txn({{}, {{"members/2", "", 0, true}}}));
  run(2 * kLease, a, b);
  EXPECT_EQ(a.lost, 0);
  EXPECT_EQ(open().range("members/")->entries.size(), 2u);
}

TEST_F(RegistryTest, OfTwoNodesWithOneIdTheLaterIsAMemberAndTheOtherSaysSo) {
  Host old(open(), 2, 5);
  Host a(open(), 1, 1);
  run(3000, old, a);
  Host twin(open(), 2, 6);
  run(60000, old, a, twin);
  EXPECT_FALSE(old.registry.registered());
  EXPECT_NE(old.registry.trouble().find("another start of node 2"), std::string::npos)
      << old.registry.trouble();
  EXPECT_TRUE(twin.registry.registered());
  EXPECT_EQ(a.members[2].epoch, 6u);
  EXPECT_EQ(a.lost, 0);
}

TEST_F(RegistryTest, WhoLeavesInOrderLeavesNoRow) {
  Host a(open(), 1, 1);
  run(1000, a);
  a.registry.leave();
  EXPECT_TRUE(open().range("members/")->entries.empty());
  EXPECT_EQ(*epoch_in_store(open(), 1), 1u);
}

TEST_F(RegistryTest, ARowThatNobodyCanReadMovesNobody) {
  Host a(open(), 1, 1);
  Host b(open(), 2, 1);
  run(3000, a, b);
  ASSERT_TRUE(open().txn({{}, {{"members/2", "scribbled"}, {"members/9", "[]"}}}));
  run(500, a);
  EXPECT_NE(a.registry.trouble(), "");
  run(10 * kLease, a);
  EXPECT_EQ(a.ids(), std::set<uint64_t>{2});
}

TEST_F(RegistryTest, BeginsFromDiskWhenTheStoreIsAway) {
  const std::string snapshot = folder.file("snapshot");
  {
    Host a(open(), 1, 1, snapshot);
    Host b(open(), 2, 1);
    run(5000, a, b);
  }
  wipe();
  std::filesystem::create_directory(folder.file("s.db"));
  Host again(open(), 1, 2, snapshot);
  EXPECT_EQ(again.ids(), std::set<uint64_t>{2});
  run(600000, again);
  EXPECT_EQ(again.ids(), std::set<uint64_t>{2});
  std::filesystem::remove(folder.file("s.db"));
  run(10 * kLease, again);  // nobody else is there any more
  EXPECT_TRUE(again.members.empty());
}

TEST_F(RegistryTest, ADamagedSnapshotIsSaidAndDoesNoHarm) {
  const std::string snapshot = folder.file("snapshot");
  std::ofstream(snapshot) << "PENSNAP1 and then something";
  Host a(open(), 1, 1, snapshot);
  EXPECT_NE(a.trouble.find(snapshot), std::string::npos);
  Host b(open(), 2, 1);
  run(3000, a, b);
  EXPECT_EQ(a.ids(), std::set<uint64_t>{2});
}

TEST_F(RegistryTest, AFileThatPeopleEditIsEnough) {
  const std::string path = folder.file("members.toml");
  std::ofstream(path)
      << "[members.1]\nports = [\"10.1.0.1:9470\"]\n[members.2]\nports = [\"10.1.0.2:9470\"]\n";
  store::StaticStore file(path);
  Registry registry(file, {.self = {1, "a", {}, 3, "x", "1"},
                           .lease = milliseconds(kLease),
                           .snapshot = "",
                           .read_only = true});
  auto events = registry.poll(now, kNow);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].member.id, 2u);
  EXPECT_EQ(registry.trouble(), "");
  std::ofstream(path) << "[members.1]\nports = [\"10.1.0.1:9470\"]\n";
  registry.heard({2});  // as it would be: who edits the file decides
  events.clear();
  for (int i = 0; i < 100 && events.empty(); i++)
    events = registry.poll(now += 500, kNow);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, MemberEvent::kGone);
}

TEST_F(RegistryTest, SixtyFourFindEachOther) {
  std::vector<std::unique_ptr<Host>> hosts;
  for (uint64_t id = 1; id <= 64; id++) {
    hosts.push_back(std::make_unique<Host>(open(), id, 1));
    for (auto& h : hosts)
      h->poll(now);
    now += 100;
  }
  for (int i = 0; i < 4; i++, now += 500)
    for (auto& h : hosts)
      h->poll(now);
  for (auto& h : hosts)
    EXPECT_EQ(h->members.size(), 63u);
}

}  // namespace
}  // namespace penstock::test
