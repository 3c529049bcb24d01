#include "control/membership/membership.h"

#include <future>
#include <gtest/gtest.h>
#include <poll.h>

#include "control/config/address.h"
#include "control/store/sqlite_store.h"
#include "tests/control/store/temporary.h"

namespace penstock::test {
namespace {

using std::chrono::milliseconds;

struct MembershipTest : testing::Test {
  TemporaryFolder folder;
  std::string path = folder.file("s.db");

  std::unique_ptr<Membership> node(uint64_t id) const {
    return std::make_unique<Membership>(
        std::make_unique<store::SqliteStore>(store::SqliteOptions{.path = path}),
        Registry::Options{.self = {id, "n", {{*parse_host("10.0.0.1"), 9470}}, 1, "x", "1"},
                          .lease = milliseconds(2000),
                          .snapshot = "",
                          .read_only = false,
                          .seed = id,
                          .timing = {}});
  }
  // What comes until `enough` is so; the descriptor has to say when.
  static Membership::News wait(Membership& m,
                               const std::function<bool(const Membership::News&)>& enough) {
    Membership::News all;
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!enough(all) && std::chrono::steady_clock::now() < until) {
      pollfd p{m.events(), POLLIN, 0};
      if (::poll(&p, 1, 1000) != 1) continue;
      auto news = m.take();
      all.members.insert(all.members.end(), news.members.begin(), news.members.end());
      if (news.store_trouble) all.store_trouble = news.store_trouble;
      if (news.trouble) all.trouble = news.trouble;
      all.complete |= news.complete;
    }
    EXPECT_TRUE(enough(all));
    return all;
  }
};

TEST_F(MembershipTest, TellsOfOthersThroughItsDescriptor) {
  const auto a = node(1);
  const auto b = node(2);
  const auto some = [](const Membership::News& n) { return !n.members.empty(); };
  EXPECT_EQ(wait(*a, some).members[0].member.id, 2u);
  EXPECT_EQ(wait(*b, some).members[0].member.id, 1u);
  pollfd p{a->events(), POLLIN, 0};
  EXPECT_EQ(::poll(&p, 1, 0), 0) << "taken, and still readable";
}

TEST_F(MembershipTest, TellsOfTroubleAndOfItsEnd) {
  std::filesystem::create_directory(path);
  const auto a = node(1);
  const auto away = wait(*a, [](const auto& n) { return n.store_trouble.has_value(); });
  EXPECT_NE(away.store_trouble->find(path), std::string::npos);
  EXPECT_FALSE(away.trouble.has_value());
  EXPECT_FALSE(away.complete);
  std::filesystem::remove(path);
  const auto back =
      wait(*a, [](const auto& n) { return n.store_trouble.has_value() && n.complete; });
  EXPECT_EQ(back.store_trouble, "");
}

TEST_F(MembershipTest, ABadRowIsNoTroubleOfTheStore) {
  const auto a = node(1);
  (void)wait(*a, [](const auto& n) { return n.complete; });
  store::SqliteStore store({.path = path});
  ASSERT_TRUE(store.txn({{}, {{"members/7", "scribbled"}}}));
  const auto bad = wait(*a, [](const auto& n) { return n.trouble.has_value(); });
  EXPECT_NE(bad.trouble->find("members/7"), std::string::npos) << *bad.trouble;
  EXPECT_FALSE(bad.store_trouble.has_value());
}

TEST_F(MembershipTest, FewRemovalsWaitAndAnEndWaitsForNone) {
  auto a = node(1);
  std::vector<std::future<store::Result<uint64_t>>> asked;
  bool refused = false;
  for (int i = 0; i < 100000 && !refused; i++) {
    auto one = a->remove(99);
    refused = !one;
    if (one) asked.push_back(std::move(*one));
  }
  EXPECT_TRUE(refused);
  a.reset();
  int answered = 0, broken = 0;
  for (auto& one : asked) {
    ASSERT_EQ(one.wait_for(milliseconds(0)), std::future_status::ready);
    try {
      EXPECT_FALSE(one.get());  // there was never such a node
      answered++;
    } catch (const std::future_error&) {
      broken++;
    }
  }
  EXPECT_EQ(static_cast<size_t>(answered + broken), asked.size());
}

TEST_F(MembershipTest, LeavesInOrder) {
  const auto a = node(1);
  store::SqliteStore store({.path = path});
  const auto rows = [&store] {
    const auto all = store.range("members/");
    return all ? all->entries.size() : 0;
  };
  {
    const auto b = node(2);
    (void)wait(*a, [](const auto& n) { return !n.members.empty(); });
    EXPECT_EQ(rows(), 2u);
  }
  EXPECT_EQ(rows(), 1u);
}

}  // namespace
}  // namespace penstock::test
