#include "control/events/events.h"

#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <random>
#include <set>

#include "tests/support/seeds.h"

namespace penstock {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

struct EventsTest : testing::Test {
  std::vector<Event> told;
  Events events{[this](const Event& e) { told.push_back(e); }, {.ring = 8, .burst = 3}};

  std::vector<std::string> texts() const {
    std::vector<std::string> all;
    for (const Event& e : told)
      all.push_back(e.text);
    return all;
  }
};

TEST_F(EventsTest, WhatIsRaisedIsRaisedOnceTillItIsCleared) {
  events.raise(EventName::kLinkDown, "node 2 path 0", "it went");
  events.raise(EventName::kLinkDown, "node 2 path 0", "it went again");
  events.raise(EventName::kLinkDown, "node 2 path 1", "so did that");
  events.clear(EventName::kLinkDown, "node 2 path 0", "it is back");
  events.clear(EventName::kLinkDown, "node 2 path 0", "it is back again");
  events.raise(EventName::kLinkDown, "node 2 path 0", "it went once more");
  EXPECT_EQ(texts(), (std::vector<std::string>{"it went", "so did that", "it is back",
                                               "it went once more"}));
  EXPECT_EQ(events.raised().size(), 2u);
  EXPECT_TRUE(events.is_raised(EventName::kLinkDown));
  EXPECT_FALSE(events.is_raised(EventName::kLinkSuspect));
  EXPECT_FALSE(events.is_raised(EventName::kPeerRefused));
  EXPECT_EQ(events.happened(EventName::kLinkDown), 3u);
  events.raise(EventName::kLinkDown, "node 2 path 0", "it went, and this is why");
  EXPECT_EQ(told.size(), 4u);
  EXPECT_EQ(events.raised()[0].text, "it went, and this is why");
}

TEST_F(EventsTest, SaysWhenAndInWhichOrder) {
  events.turn(5 * kSecond, 1'700'000'000 * kSecond);
  events.note(EventName::kNote, "a");
  events.turn(6 * kSecond, 1'700'000'001 * kSecond);
  events.note(EventName::kNote, "b");
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].number, 1u);
  EXPECT_EQ(told[1].number, 2u);
  EXPECT_EQ(told[0].unix_ns, 1'700'000'000 * kSecond);
  EXPECT_EQ(told[1].unix_ns, 1'700'000'001 * kSecond);
}

TEST_F(EventsTest, WhatComesTooOftenIsCountedAndTheNextOneSaysHowOften) {
  for (int i = 0; i < 10; i++)
    events.note(EventName::kPeerNonsense, std::to_string(i));
  events.note(EventName::kNote, "another name is not in its way");
  EXPECT_EQ(told.size(), 4u);
  EXPECT_EQ(events.suppressed(EventName::kPeerNonsense), 7u);
  events.turn(kSecond - 1, 0);
  events.note(EventName::kPeerNonsense, "too early");
  EXPECT_EQ(told.size(), 4u);
  events.turn(kSecond, 0);
  events.note(EventName::kPeerNonsense, "one a second");
  events.note(EventName::kPeerNonsense, "and no more");
  ASSERT_EQ(told.size(), 5u);
  EXPECT_EQ(told.back().text, "one a second");
  EXPECT_EQ(told.back().suppressed, 8u);
  events.turn(1000 * kSecond, 0);
  for (int i = 0; i < 10; i++)
    events.note(EventName::kPeerNonsense, "a burst again");
  EXPECT_EQ(told.size(), 8u);
  EXPECT_EQ(told[5].suppressed, 1u);
  EXPECT_EQ(told[6].suppressed, 0u);
}

TEST_F(EventsTest, ARaiseThatHadToWaitIsToldIfItIsStillSo) {
  for (int i = 0; i < 5; i++)
    events.raise(EventName::kSlowReader, std::to_string(i), "slow " + std::to_string(i));
  EXPECT_EQ(told.size(), 3u);
  EXPECT_EQ(events.raised().size(), 5u);
  events.clear(EventName::kSlowReader, "3", "fast 3");  // nobody was told that it was slow
  EXPECT_EQ(told.size(), 3u);
  events.turn(kSecond, 0);
  ASSERT_EQ(told.size(), 4u);
  EXPECT_EQ(told.back().text, "slow 4");
  EXPECT_EQ(told.back().suppressed, 1u);
  events.clear(EventName::kSlowReader, "4", "fast 4");  // at once, whatever the limit
  EXPECT_EQ(told.back().text, "fast 4");
}

TEST_F(EventsTest, IsReadFromANumberAndShowsWhatIsNotThereAnyMore) {
  std::vector<Event> out;
  EXPECT_EQ(events.read(1, 100, out), 1u);
  EXPECT_TRUE(out.empty());
  for (uint64_t i = 1; i <= 12; i++) {
    events.turn(i * 10 * kSecond, 0);
    events.note(EventName::kNote, std::to_string(i));
  }
  EXPECT_EQ(events.read(11, 100, out), 13u);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_EQ(out[0].text, "11");
  EXPECT_EQ(events.read(13, 100, out), 13u);
  EXPECT_EQ(out.size(), 2u);
  out.clear();
  EXPECT_EQ(events.read(1, 3, out), 8u);  // of twelve the ring holds eight
  ASSERT_EQ(out.size(), 3u);
  EXPECT_EQ(out[0].number, 5u);
  EXPECT_EQ(events.read(~uint64_t{0}, 3, out), 13u);  // from a life before this one
  EXPECT_EQ(out.size(), 3u);
}

TEST(Events, HoldsNoMoreRaisedThanItsLimit) {
  Events events(nullptr, {.raised = 2});
  for (int i = 0; i < 5; i++)
    events.raise(EventName::kLinkDown, std::to_string(i), "");
  EXPECT_EQ(events.raised().size(), 2u);
  EXPECT_EQ(events.suppressed(EventName::kLinkDown), 3u);
  EXPECT_EQ(events.next(), 3u);
}

TEST(Events, HaveNamesThatProgramsCanUse) {
  std::set<std::string_view> names;
  for (const EventRow& r : kEvents) {
    EXPECT_TRUE(names.insert(r.name).second) << r.name;
    EXPECT_EQ(r.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), r.name.npos) << r.name;
    EXPECT_FALSE(r.what.empty());
  }
}

TEST(Events, AreInTheManualAsInTheTable) {
  std::ifstream in(EVENTS_PAGE);
  const std::string manual(std::istreambuf_iterator<char>(in), {});
  constexpr std::string_view kSeverity[] = {"info", "warning", "error"};
  for (const EventRow& r : kEvents) {
    const std::string line = "\n| `" + std::string(r.name) + "` | " +
                             std::string(kSeverity[static_cast<size_t>(r.severity)]) + " | " +
                             (r.pair ? "yes" : "no") + " | " + std::string(r.what) + " |\n";
    EXPECT_NE(manual.find(line), manual.npos) << line;
  }
}

// What is told, against what happened: a model that knows nothing of limits and order.
class Model {
 public:
  explicit Model(uint64_t seed) : random_(seed) {}

  void run() {
    for (int i = 0; i < 2000; i++)
      step();
    // With nothing new, everybody hears of all that is wrong.
    for (int i = 0; i < 100; i++)
      pass(kSecond);
    EXPECT_EQ(seen_, wrong_);
    std::vector<Event> all;
    events_.read(1, ~size_t{0}, all);
    EXPECT_EQ(all.size(), told_.size());
    for (size_t n = 0; n < kEventNames; n++)
      balance(n);
  }

 private:
  static constexpr uint64_t kBurst = 4;
  using Key = std::pair<EventName, std::string>;

  uint64_t pick(uint64_t n) { return random_() % n; }

  void pass(uint64_t ns) {
    now_ += ns;
    events_.turn(now_, now_);
  }

  void step() {
    if (pick(4) == 0) pass(pick(kSecond));
    const auto name = static_cast<EventName>(pick(kEventNames));
    if (!row(name).pair) {
      happened_[static_cast<size_t>(name)]++;
      return events_.note(name, "noted");
    }
    const Key key{name, std::to_string(pick(3))};
    if (pick(2) == 0) {
      events_.raise(key.first, key.second, "raised");
      happened_[static_cast<size_t>(name)] += wrong_.insert(key).second ? 1 : 0;
    } else {
      events_.clear(key.first, key.second, "cleared");
      wrong_.erase(key);
    }
    std::set<Key> raised;
    for (const Event& e : events_.raised())
      raised.insert({e.name, e.subject});
    ASSERT_EQ(raised, wrong_);
  }

  void hear(const Event& e) {
    ASSERT_EQ(e.number, told_.size() + 1);
    told_.push_back(e);
    said_[static_cast<size_t>(e.name)] += e.suppressed;
    if (e.change == Change::kNoted) {
      count(e.name);
    } else if (e.change == Change::kRaised) {
      count(e.name);
      ASSERT_TRUE(seen_.insert({e.name, e.subject}).second) << "raised twice";
    } else {
      ASSERT_EQ(seen_.erase({e.name, e.subject}), 1u) << "cleared and never raised";
    }
  }

  void count(EventName name) {
    const auto n = static_cast<size_t>(name);
    heard_[n]++;
    EXPECT_LE(heard_[n], kBurst + now_ / kSecond);
  }

  void balance(size_t n) {
    const auto name = static_cast<EventName>(n);
    EXPECT_EQ(events_.happened(name), happened_[n]) << row(name).name;
    EXPECT_EQ(heard_[n] + events_.suppressed(name), happened_[n]) << row(name).name;
    EXPECT_LE(said_[n], events_.suppressed(name));
    events_.note(name, "how many were suppressed");
    EXPECT_EQ(said_[n], events_.suppressed(name)) << row(name).name;
  }

  std::mt19937_64 random_;
  uint64_t now_ = 0;
  std::set<Key> wrong_, seen_;
  std::vector<Event> told_;
  std::array<uint64_t, kEventNames> happened_{}, heard_{}, said_{};
  Events events_{[this](const Event& e) { hear(e); }, {.ring = 1U << 20, .burst = kBurst}};
};

TEST(Events, AreWhatTheModelSays) {
  for (uint64_t seed = 1; seed <= test::seeds(50); seed++) {
    SCOPED_TRACE(seed);
    Model(seed).run();
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace penstock
