#include "control/membership/membership.h"

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
      if (news.trouble) all.trouble = news.trouble;
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
  EXPECT_NE(wait(*a, [](const auto& n) { return n.trouble.has_value(); }).trouble->find(path),
            std::string::npos);
  std::filesystem::remove(path);
  EXPECT_EQ(*wait(*a, [](const auto& n) { return n.trouble == ""; }).trouble, "");
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
