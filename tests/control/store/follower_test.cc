#include "control/store/follower.h"

#include <gtest/gtest.h>

#include "control/store/sqlite_store.h"
#include "tests/control/store/faulty_store.h"
#include "tests/control/store/temporary.h"
#include "tests/support/seeds.h"

namespace penstock::test {
namespace {

using std::chrono::milliseconds;
using store::Follower;
using store::SqliteStore;

constexpr milliseconds kNow{0};

struct FollowerSeeds : testing::TestWithParam<uint64_t> {
  TemporaryFolder folder;
  SqliteStore truth{{.path = folder.file("s.db")}};
  std::mt19937_64 random{GetParam()};
  uint64_t now = 1;
  store::View::Entries told;  // what the changes come to

  void write() {
    store::Txn txn;
    for (uint64_t i = 0; i <= random() % 2; i++)
      txn.writes.push_back({"k/" + std::to_string(2 * (random() % 4) + i),
                            std::to_string(random() % 100), 0, random() % 3 == 0});
    if (random() % 4 == 0) txn.writes.push_back({"other", "x"});
    EXPECT_TRUE(truth.txn(txn));
  }

  void poll(Follower& follower, bool may_rewind) {
    const store::View::Entries before = follower.view().entries();
    const Follower::News news = follower.poll(now, kNow);
    if (!may_rewind) {
      ASSERT_FALSE(news.rewound);
    }
    for (const store::Event& e : news.changes) {
      ASSERT_TRUE(e.entry.key.starts_with("k/"));
      if (e.removed) {
        ASSERT_EQ(told.erase(e.entry.key), 1u) << e.entry.key << " was not there";
        continue;
      }
      const auto had = told.find(e.entry.key);
      if (had != told.end() && !may_rewind) {  // a wiped store may be as far again
        ASSERT_GT(e.entry.revision, had->second.revision) << e.entry.key;
      }
      told[e.entry.key] = e.entry;
    }
    ASSERT_EQ(told, follower.view().entries());
  }

  void converge(Follower& follower, bool may_rewind) {
    const auto wanted = truth.range("k/");
    ASSERT_TRUE(wanted);
    store::View::Entries all;
    for (const auto& e : wanted->entries)
      all[e.key] = e;
    for (int i = 0; i < 40 && (follower.view().entries() != all || !follower.trouble().empty());
         i++) {
      now += 5000;
      ASSERT_NO_FATAL_FAILURE(poll(follower, may_rewind));
    }
    EXPECT_EQ(follower.view().entries(), all) << "seed " << GetParam();
    EXPECT_EQ(follower.trouble(), "") << "seed " << GetParam();
  }
};

TEST_P(FollowerSeeds, IsInStepWithAStoreThatSaysLessThanTheTruth) {
  FaultyStore faulty(truth, GetParam());
  Follower follower(faulty, "k/", GetParam());
  for (int step = 0; step < 80; step++) {
    if (random() % 2 == 0) write();
    now += random() % 3000;
    ASSERT_NO_FATAL_FAILURE(poll(follower, false)) << "seed " << GetParam() << " step " << step;
  }
  EXPECT_GT(faulty.faults(), 0u);
  faulty.heal();
  ASSERT_NO_FATAL_FAILURE(converge(follower, false));
}

TEST_P(FollowerSeeds, IsInStepWithAStoreThatWasWiped) {
  FaultyStore faulty(truth, GetParam());
  Follower follower(faulty, "k/", GetParam());
  for (int round = 0; round < 3; round++) {
    for (int step = 0; step < 20; step++) {
      if (random() % 2 == 0) write();
      now += random() % 3000;
      ASSERT_NO_FATAL_FAILURE(poll(follower, true)) << "seed " << GetParam() << " round " << round;
    }
    for (const char* part : {"s.db", "s.db-wal", "s.db-shm"})
      std::filesystem::remove(folder.file(part));
  }
  write();
  faulty.heal();
  ASSERT_NO_FATAL_FAILURE(converge(follower, true));
}

INSTANTIATE_TEST_SUITE_P(Seeds, FollowerSeeds, testing::Range<uint64_t>(1, seeds(25) + 1));

struct FollowerTest : testing::Test {
  TemporaryFolder folder;
  SqliteStore truth{{.path = folder.file("s.db")}};

  void put(const std::string& key, const std::string& value) {
    ASSERT_TRUE(truth.txn({{}, {{key, value}}}));
  }
  void wipe() const {
    for (const char* part : {"s.db", "s.db-wal", "s.db-shm"})
      std::filesystem::remove(folder.file(part));
  }
};

TEST_F(FollowerTest, KeepsAllItKnowsForAsLongAsTheStoreIsAway) {
  put("k/1", "v");
  Follower follower(truth, "k/", 1);
  EXPECT_FALSE(follower.complete());
  EXPECT_EQ(follower.poll(0, kNow).changes.size(), 1u);
  EXPECT_TRUE(follower.complete());
  // A folder where the file was: nobody can open it.
  wipe();
  std::filesystem::create_directory(folder.file("s.db"));
  for (uint64_t hour = 1; hour <= 100; hour++) {
    const auto news = follower.poll(hour * 3600000, kNow);
    EXPECT_TRUE(news.changes.empty());
  }
  EXPECT_NE(follower.trouble(), "");
  EXPECT_EQ(follower.view().entries().size(), 1u);
}

TEST_F(FollowerTest, SaysThatAStoreWasRewoundAndOnlyOnTheSecondLook) {
  for (int i = 0; i < 10; i++)
    put("k/1", "v");
  Follower follower(truth, "k/", 1);
  EXPECT_EQ(follower.poll(0, kNow).changes.size(), 1u);
  wipe();
  put("k/2", "w");
  uint64_t now = 100000;
  EXPECT_TRUE(follower.poll(now, kNow).changes.empty());
  EXPECT_NE(follower.trouble(), "");
  EXPECT_EQ(follower.view().entries().count("k/1"), 1u);
  const auto news = follower.poll(now + 5000, kNow);
  EXPECT_TRUE(news.rewound);
  EXPECT_EQ(news.changes.size(), 2u);
  EXPECT_EQ(follower.view().entries().count("k/1"), 0u);
  EXPECT_EQ(follower.view().entries().count("k/2"), 1u);
  EXPECT_EQ(follower.trouble(), "");
}

TEST_F(FollowerTest, ReadsAllAnewNowAndThenWhateverTheWatchSays) {
  // Of this store no watch ever hears anything.
  struct Deaf : FaultyStore {
    using FaultyStore::FaultyStore;
    struct Silence : store::Watch {
      store::Result<std::vector<store::Event>> next(milliseconds) override {
        return std::vector<store::Event>{};
      }
    };
    store::Result<std::unique_ptr<store::Watch>> watch(std::string_view, uint64_t) override {
      return std::make_unique<Silence>();
    }
  } deaf(truth, 1);
  deaf.heal();
  put("k/1", "v");
  Follower follower(deaf, "k/", 1);
  EXPECT_EQ(follower.poll(0, kNow).changes.size(), 1u);
  put("k/1", "w");
  EXPECT_TRUE(follower.poll(9999, kNow).changes.empty());
  EXPECT_EQ(follower.poll(30000, kNow).changes.size(), 1u);
}

TEST_F(FollowerTest, AsksLessAndLessOftenWhileTheStoreIsAway) {
  struct Gone : FaultyStore {
    using FaultyStore::FaultyStore;
    int asked = 0;
    store::Result<store::Contents> range(std::string_view) override {
      asked++;
      return store::error(store::Fault::kUnavailable, "gone");
    }
  } gone(truth, 1);
  Follower follower(gone, "k/", 1);
  for (uint64_t now = 0; now < 100000; now += 10)
    (void)follower.poll(now, kNow);
  EXPECT_GE(gone.asked, 20);  // never gives up
  EXPECT_LE(gone.asked, 60);
}

}  // namespace
}  // namespace penstock::test
