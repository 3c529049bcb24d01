// Members that are gone, members that an operator removes, members that are about to leave.
#include <fstream>
#include <functional>

#include "control/store/static_store.h"
#include "tests/control/membership/registry_rig.h"

namespace penstock::test {
namespace {

using RemovalTest = RegistryTest;

TEST_F(RemovalTest, WhoIsHeardIsNotGoneWhateverTheStoreSays) {
  Host a(open(), 1, 1);
  {
    Host b(open(), 2, 1);
    run(3000, a, b);
  }  // b hears the store no more, and its links are up
  a.registry.heard({2});
  run(20 * kLease, a);
  EXPECT_EQ(a.ids(), std::set<uint64_t>{2});
  a.registry.heard({});
  run(2 * kLease - 1000, a);
  EXPECT_EQ(a.ids(), std::set<uint64_t>{2}) << "silence has to last as long";
  run(2000, a);
  EXPECT_TRUE(a.members.empty());
}

TEST_F(RemovalTest, WhoIsRemovedIsNoMemberBeforeItsNextLife) {
  Host a(open(), 1, 1);
  auto b = std::make_unique<Host>(open(), 2, 5);
  run(3000, a, *b);
  EXPECT_EQ(*remove_member(open(), 2), 5u);
  run(1500, a, *b);
  EXPECT_TRUE(a.members.empty());
  EXPECT_EQ(a.removed, (std::map<uint64_t, uint64_t>{{2, 5}}));
  EXPECT_EQ(b->removed, (std::map<uint64_t, uint64_t>{{2, 5}})) << "it sees it itself,";
  EXPECT_FALSE(b->registry.registered());
  EXPECT_NE(b->registry.trouble().find("an operator has removed this node, epoch 5"),
            std::string::npos)
      << b->registry.trouble();
  run(10 * kLease, a, *b);
  EXPECT_TRUE(a.members.empty()) << "and does not come back,";
  EXPECT_EQ(open().range("members/")->entries.size(), 1u);
  b.reset();
  Host stubborn(open(), 2, 5);
  run(3000, a, stubborn);
  EXPECT_TRUE(a.members.empty());
  EXPECT_FALSE(stubborn.registry.registered());
  ASSERT_EQ(*epoch_in_store(open(), 2), 5u);
  Host next(open(), 2, 6);
  run(3000, a, next);
  EXPECT_EQ(a.members[2].epoch, 6u) << "before its next start";
  EXPECT_TRUE(next.registry.registered());
  EXPECT_EQ(next.registry.trouble(), "");
}

TEST_F(RemovalTest, ARemovalOutlivesTheStoreAndOurRestart) {
  const std::string snapshot = folder.file("snapshot");
  {
    Host a(open(), 1, 1, snapshot);
    Host b(open(), 2, 5);
    run(3000, a, b);
    ASSERT_TRUE(remove_member(open(), 2));
    run(3000, a);
    wipe();
    Host zombie(open(), 2, 5);  // it was not there to see it
    run(30000, a, zombie);
    EXPECT_TRUE(a.members.empty());
  }
  {
    Registry::Options o{.self = {1, "a", {}, 2, "x", "1"}, .snapshot = snapshot};
    Registry known(open(), o);
    std::string trouble;
    const auto events = known.begin(trouble);  // who is in [[peer]] is called until this
    ASSERT_EQ(events.size(), 1u) << trouble;
    EXPECT_EQ(events[0].kind, MemberEvent::kRemoved);
    EXPECT_EQ(events[0].member.id, 2u);
    EXPECT_EQ(events[0].member.epoch, 5u);
  }
  Host again(open(), 1, 2, snapshot);
  run(30000, again);
  EXPECT_TRUE(again.members.empty());
}

TEST_F(RemovalTest, OnlyWhomTheStoreKnowsIsRemovedAndOnlyByCompareAndSwap) {
  const auto nobody = remove_member(open(), 7);
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().fault, store::Fault::kInvalid);
  EXPECT_NE(nobody.error().text.find("knows no node 7"), std::string::npos);
  Host b(open(), 2, 1);
  run(1000, b);
  struct Between final : store::Store {  // somebody is faster
    Between(store::Store& to, std::function<void()> first) : store(to), before(std::move(first)) {}
    store::Result<store::Contents> range(std::string_view p) override { return store.range(p); }
    store::Result<store::Outcome> txn(const store::Txn& t) override {
      before();
      return store.txn(t);
    }
    store::Result<std::unique_ptr<store::Watch>> watch(std::string_view p, uint64_t r) override {
      return store.watch(p, r);
    }
    store::Result<store::Lease> grant(milliseconds t) override { return store.grant(t); }
    store::Result<void> keep_alive(uint64_t l) override { return store.keep_alive(l); }
    store::Result<void> revoke(uint64_t l) override { return store.revoke(l); }
    store::Store& store;
    std::function<void()> before;
  };
  Between between(open(), [&] {
    Host later(open(), 2, 2);
    run(500, later);
  });
  const auto late = remove_member(between, 2);
  ASSERT_FALSE(late);
  EXPECT_NE(late.error().text.find("has just changed"), std::string::npos);
  EXPECT_TRUE(open().range("removed/")->entries.empty());
}

TEST_F(RemovalTest, AFileThatPeopleEditIsNotWrittenToRemoveSomebody) {
  const std::string path = folder.file("members.toml");
  std::ofstream(path) << "[members.2]\nports = [\"10.1.0.2:9470\"]\n";
  store::StaticStore file(path);
  const auto refused = remove_member(file, 2);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, store::Fault::kReadOnly);
  EXPECT_NE(refused.error().text.find(path), std::string::npos);
}

TEST_F(RemovalTest, WhoDrainsSaysSoInItsRow) {
  Host a(open(), 1, 1);
  Host b(open(), 2, 1);
  run(3000, a, b);
  EXPECT_FALSE(a.members[2].draining);
  b.registry.drain();
  run(1500, a, b);
  EXPECT_TRUE(a.members[2].draining);
}

}  // namespace
}  // namespace penstock::test
