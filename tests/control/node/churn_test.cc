// Subscriptions that come and go by the thousand, here and at the other node, while somebody
// publishes: who stays gets everything, and who comes gets a run without a hole, here from its
// start on.
#include <atomic>
#include <thread>

#include "tests/control/node/node_rig.h"

namespace penstock {
namespace {

constexpr int kSubscriptions = 10'000;  // at each node

// Comes and goes. What it gets of the lane is a run without a hole, and nothing that was `sent`
// before it came; null: at the other node, where what is on its way yet is new.
void churn(pen::Client& client, std::atomic<uint64_t>& seen, const std::atomic<uint64_t>* sent) {
  constexpr const char* kFilters[] = {"t", "*", "#", "t.#", "u"};
  for (int i = 0; i < kSubscriptions; i++) {
    const uint64_t before = sent != nullptr ? sent->load() : 0;
    auto s = client.subscriber(kFilters[i % 5]);
    ASSERT_TRUE(s) << pen::last_error();
    pen::Message m;
    uint64_t next = 0;
    for (int n = 0; n < 4 && s->recv(m, 0) == PENSTOCK_OK; n++) {
      ASSERT_FALSE(m.is_gap());
      if (n > 0) {
        ASSERT_EQ(m.key, next);
      }
      ASSERT_GE(m.key, before);
      next = m.key + 1;
      seen++;
    }
  }
}

TEST(Churn, TakesNothingFromWhoStays) {
  TwoNodes nodes;
  wait_up(nodes);
  auto publisher = attach_to(nodes, 0, "publisher");
  auto near = attach_to(nodes, 0, "near");
  auto far = attach_to(nodes, 1, "far");
  auto steady_near = near.subscriber("t");
  auto steady_far = far.subscriber("t");
  auto sender = publisher.publisher();
  const uint32_t t = *sender->topic("t");

  std::atomic<bool> stop = false;
  std::atomic<uint64_t> seen = 0;
  std::atomic<uint64_t> sent = 0;
  std::thread publishes([&] {
    for (; !stop; sent++) {
      ASSERT_EQ(sender->send_wait(t, "x", kPatienceNs, sent), PENSTOCK_OK);
      if (sent % 32 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    ASSERT_EQ(sender->send_wait(t, "end", kPatienceNs, sent), PENSTOCK_OK);
  });
  const auto takes_all = [&](pen::Subscriber& s) {
    pen::Message m;
    for (uint64_t next = 0;; next++) {
      ASSERT_EQ(s.recv(m, kPatienceNs), PENSTOCK_OK) << next << nodes.describe();
      ASSERT_FALSE(m.is_gap()) << next;
      ASSERT_EQ(m.key, next);
      if (m.chars() == "end") return;
    }
  };
  std::thread reads_near([&] { takes_all(*steady_near); });
  std::thread reads_far([&] { takes_all(*steady_far); });
  const auto begin = std::chrono::steady_clock::now();
  auto churns_near = attach_to(nodes, 0, "churns near");
  auto churns_far = attach_to(nodes, 1, "churns far");
  std::thread other([&] { churn(churns_far, seen, nullptr); });
  churn(churns_near, seen, &sent);
  other.join();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  stop = true;
  publishes.join();
  reads_near.join();
  reads_far.join();
  EXPECT_GT(seen, 0u);
  printf("%.0f subscribed and unsubscribed a second, %.0f messages a second\n",
         2 * kSubscriptions / seconds, static_cast<double>(sent.load()) / seconds);
}

// By the receiver, whoever goes then.
TEST(Delays, AreOfStampedMessagesOnly) {
  TwoNodes nodes;
  wait_up(nodes);
  auto publisher = attach_to(nodes, 0, "publisher");
  auto subscriber = attach_to(nodes, 1, "subscriber");
  auto s = subscriber.subscriber("t");
  const auto total = [&](int side) {
    uint64_t n = 0;
    for (const uint64_t c : nodes.numbers(side).counted.delays)
      n += c;
    return n;
  };
  for (const bool stamped : {false, true}) {
    auto sender = publisher.publisher({.timestamps = stamped});
    send_all(*sender, *sender->topic("t"), 50);
    expect_all(*s, 50);
    EXPECT_EQ(total(1), stamped ? 50u : 0u);
  }
  EXPECT_GT(nodes.numbers(1).counted.delays_ns, 0u);
  EXPECT_EQ(total(0), 0u);
  {
    const auto receiver = std::move(s);
    const auto client = std::move(subscriber);
  }
  for (int i = 0; i < 2000 && nodes.numbers(1).clients != 0; i++)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(nodes.numbers(1).clients, 0u);
  EXPECT_EQ(total(1), 50u);
}

}  // namespace
}  // namespace penstock
