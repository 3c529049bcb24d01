// What the tests of two nodes share: clients, numbered messages, and the books that must balance.
#pragma once

#include <algorithm>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>

#include "dataplane/client/penstock.hpp"
#include "tests/support/two_nodes.h"

namespace penstock {

inline constexpr int64_t kPatienceNs =
    20'000'000'000;  // a bound for a busy machine, never a measure

inline pen::Client attach_to(const TwoNodes& nodes, int side, const char* name) {
  auto c = pen::Client::attach(name, nodes.socket(side).c_str());
  EXPECT_TRUE(c) << pen::last_error();
  return c ? std::move(*c) : pen::Client();
}

inline std::string payload(uint32_t n, size_t size) {
  std::string s = std::to_string(n) + ":";
  s.resize(std::max(size, s.size()), static_cast<char>('a' + n % 26));
  return s;
}

// Waits until the links are up both ways, so that "present" peers are.
inline void wait_up(TwoNodes& nodes) {
  for (int i = 0; i < 2000; i++) {
    bool up = true;
    for (int side = 0; side < 2; side++)
      for (const auto& l : nlohmann::json::parse(nodes.show(side, "links")))
        up = up && l["state"] == "up";
    if (up) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  FAIL() << "the links did not come up: " << nodes.show(0, "links");
}

inline void send_all(pen::Sender& sender, uint32_t topic, uint32_t count, size_t size = 100) {
  for (uint32_t i = 0; i < count; i++)
    ASSERT_EQ(sender.send_wait(topic, payload(i, size), kPatienceNs), PENSTOCK_OK) << i;
}

// The next messages are 0 .. count - 1, whole.
inline void expect_all(pen::Receiver& receiver, uint32_t count, size_t size = 100,
                       uint32_t from = 0) {
  for (uint32_t i = from; i < count; i++) {
    pen::Message m;
    ASSERT_EQ(receiver.recv(m, kPatienceNs), PENSTOCK_OK)
        << "message " << i << TwoNodes::latest->describe();
    ASSERT_FALSE(m.is_gap()) << "at " << i << ": " << m.gap_count << " " << m.gap_reason_text();
    ASSERT_EQ(m.chars(), payload(i, size)) << i;
  }
}

inline void expect_nothing(pen::Receiver& receiver) {
  pen::Message m;
  EXPECT_EQ(receiver.recv(m, 50'000'000), PENSTOCK_TIMEOUT);
}

// sent = delivered + dropped + in flight, for every reader that there is and every one that was.
inline void expect_identity(TwoNodes& nodes) {
  for (int side = 0; side < 2; side++) {
    for (const auto& lane : nlohmann::json::parse(nodes.show(side, "lanes"))) {
      auto rows = lane["readers"];
      auto left = lane["left"];
      left["in_flight"] = 0;
      rows.push_back(left);
      for (const auto& r : rows) {
        uint64_t sum = r["delivered"].get<uint64_t>() + r["in_flight"].get<uint64_t>();
        for (const auto& [why, n] : r["dropped"].items())
          sum += n.get<uint64_t>();
        EXPECT_EQ(r["sent"].get<uint64_t>(), sum) << lane.dump();
      }
    }
  }
}

}  // namespace penstock
