// A client that comes when descriptors run out, wherever that strikes.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "tests/fuzz/guest.h"

namespace penstock {
namespace {

// At most so many more descriptors can be opened, until the end of the scope.
class Shortage {
 public:
  explicit Shortage(rlim_t left) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const Fd next(dup(STDERR_FILENO));
    const rlimit few{static_cast<rlim_t>(next.get()) + left, before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &few);
  }
  Shortage(const Shortage&) = delete;
  Shortage& operator=(const Shortage&) = delete;
  ~Shortage() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

// It is refused, says Hello again, and no worker still hears the bells of the first time.
TEST(Hello, WhoIsRefusedForWantOfDescriptorsMayTryAgain) {
  NodeConfig c;
  c.id = c.epoch = 1;
  c.lane = c.mirror = c.inbox = {.ring_log2 = 3, .arena_log2 = 12, .topics = 4};
  c.workers.assign(4, IdleConfig{});
  std::string error;
  const auto node = Node::create(
      c, [](std::string_view) {}, error);
  ASSERT_NE(node, nullptr) << error;
  uint64_t now = 1'000'000'000;
  const auto turn = [&] {
    now += Node::kTickNs;
    for (uint32_t w = 0; w < 4; w++)
      node->worker(w).turn(now);
    node->poll(now);
  };
  uint32_t refused = 0;
  for (rlim_t left = 0; left < 12; left++) {
    test::Guest g;
    g.attach(*node, now);
    g.say(attach::Hello{});
    {
      const Shortage shortage(left);
      node->poll(now);
    }
    while (g.hear()) {
    }
    refused += static_cast<uint32_t>(g.errors.size());
    if (!g.errors.empty()) g.say(attach::Hello{});
    turn();
    turn();
    while (g.hear()) {
    }
    EXPECT_TRUE(g.positions) << "with " << left;
    g.leave();
    for (int i = 0; i < 4; i++)
      turn();
  }
  EXPECT_GE(refused, 4u) << "at each event";
  EXPECT_EQ(node->show("clients"), "[]");
}

}  // namespace
}  // namespace penstock
