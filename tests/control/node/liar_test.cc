// A subscriber that writes nonsense into its position page: it is evicted, the honest one beside it
// on the same lane gets everything in order, and the books balance.
#include <gtest/gtest.h>
#include <thread>

#include "tests/control/node/node_rig.h"
#include "tests/fuzz/guest.h"

namespace penstock {
namespace {

using test::Guest;

constexpr uint32_t kBefore = 40;  // of 64 places
constexpr uint32_t kAll = 600;

struct Lie {
  const char* name;
  int side;       // 0: of the publisher's own lane, 1: of its mirror at the peer
  uint64_t said;  // after kBefore
};

class Liar : public ::testing::TestWithParam<Lie> {
 protected:
  template <class F>
  void wait_until(Guest& g, F&& done) {
    for (int i = 0; i < 4000 && !done(); i++) {
      while (g.hear()) {
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ASSERT_TRUE(done()) << nodes.describe();
  }
  // A client that subscribes to `t` and is joined to its lane, by hand.
  void join(Guest& g, int side) {
    g.attach(nodes.socket(side));
    attach::Hello hello;
    peer::set_text(hello.name, "liar");
    g.say(hello);
    wait_until(g, [&] { return static_cast<bool>(g.positions); });
    g.say(attach::Mapped{});
    attach::Subscribe s;
    peer::set_text(s.filter, "t");
    g.say(s);
    wait_until(g, [&] { return !g.joins.empty() && !g.subscriptions.empty(); });
  }
  // What became of the readers of the lane that `t` goes by on that side.
  nlohmann::json readers(int side) {
    for (const auto& lane : nlohmann::json::parse(nodes.show(side, "lanes")))
      if (lane["topic_names"] == nlohmann::json{"t"}) return lane["readers"];
    return {};
  }

  TwoNodes nodes;
};

TEST_P(Liar, IsEvictedAndHarmsNobody) {
  const Lie& lie = GetParam();
  wait_up(nodes);
  auto publishing = attach_to(nodes, 0, "publisher");
  auto publisher = publishing.publisher();
  const auto topic = publisher->topic("t");
  auto reading = attach_to(nodes, lie.side, "honest");
  auto honest = reading.subscriber("t");
  ASSERT_TRUE(honest) << pen::last_error();
  Guest liar;
  join(liar, lie.side);
  if (HasFatalFailure()) return;
  const attach::Join& lane = liar.joins.at(0);
  ReaderSlot& slot = reinterpret_cast<PositionTable*>(liar.positions.data())->slots[lane.slot];
  slot.position.store(lane.start);
  slot.generation.store(lane.generation);

  // So far an honest one, and seen as such.
  send_all(*publisher, *topic, kBefore);
  expect_all(*honest, kBefore);
  slot.shown.store(kBefore);
  slot.position.store(lane.start + kBefore);
  const auto seen = [&](const char* what) {
    for (const auto& r : readers(lie.side))
      if (r["who"] == "liar") return r[what];
    return nlohmann::json();
  };
  wait_until(liar, [&] { return seen("delivered") == kBefore; });
  std::this_thread::sleep_for(std::chrono::nanoseconds(3 * Node::kTickNs));

  slot.position.store(lie.said);
  std::thread goes_on([&] {
    for (uint32_t i = kBefore; i < kAll; i++)
      ASSERT_EQ(publisher->send_wait(*topic, payload(i, 100), kPatienceNs), PENSTOCK_OK) << i;
  });
  expect_all(*honest, kAll, 100, kBefore);
  goes_on.join();
  wait_until(liar, [&] { return seen("mode") == "evicted"; });
  expect_identity(nodes);
  liar.leave();
  for (int i = 0; i < 2000 && !seen("mode").is_null(); i++)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  expect_identity(nodes);
}

INSTANTIATE_TEST_SUITE_P(EveryLie, Liar,
                         testing::Values(Lie{"FarAheadHere", 0, 1'000'000},
                                         Lie{"BackwardsHere", 0, 3}, Lie{"MostHere", 0, UINT64_MAX},
                                         Lie{"FarAheadAtThePeer", 1, 1'000'000},
                                         Lie{"BackwardsAtThePeer", 1, 3},
                                         Lie{"MostAtThePeer", 1, UINT64_MAX}),
                         [](const auto& p) { return p.param.name; });

}  // namespace
}  // namespace penstock
