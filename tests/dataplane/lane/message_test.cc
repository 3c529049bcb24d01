#include "dataplane/lane/message.h"

#include <array>

#include "tests/dataplane/lane/test_lane.h"

namespace penstock {
namespace {

Message of(const GuardedMemory& memory, uint64_t len, uint16_t parts) {
  Message m;
  m.data = memory.data() + memory.size() - len;  // ends at the guard page
  m.len = len;
  m.parts = parts;
  return m;
}

void set(const Message& m, uint64_t i, uint32_t len) {
  std::memcpy(const_cast<std::byte*>(m.data) + i * 4, &len, 4);
}

TEST(Parts, ATableThatReachesBeyondTheMessageGivesNothing) {
  const GuardedMemory memory(4096);
  const Message m = of(memory, 24, 2);
  set(m, 0, 8);
  set(m, 1, 8);
  EXPECT_EQ(part(m, 0).size(), 8u);
  EXPECT_EQ(part(m, 1).size(), 8u);
  set(m, 1, 9);
  EXPECT_TRUE(part(m, 1).empty());
  set(m, 0, UINT32_MAX);
  EXPECT_TRUE(part(m, 0).empty());
  EXPECT_TRUE(part(m, 1).empty());
}

TEST(Parts, AMessageTooShortForItsTableGivesNothing) {
  const GuardedMemory memory(4096);
  EXPECT_TRUE(part(of(memory, 0, 2), 0).empty());
  EXPECT_TRUE(part(of(memory, 7, 2), 1).empty());
  EXPECT_TRUE(part(of(memory, 4096, UINT16_MAX), 60000).empty());
}

TEST(Parts, AnyTableIsReadWithinTheMessage) {
  const GuardedMemory memory(4096);
  for (uint64_t seed = 1; seed <= 20'000; seed++) {
    Dice dice(seed);
    const Message m = of(memory, dice.below(200), static_cast<uint16_t>(1 + dice.below(20)));
    for (uint64_t i = 0; i + 4 <= m.len; i += 4)
      set(m, i / 4, static_cast<uint32_t>(dice.one_in(8) ? dice.next() : dice.below(40)));
    for (uint32_t i = 0; i < 22; i++) {
      const auto p = part(m, i);
      if (p.empty()) continue;
      ASSERT_GE(p.data(), m.data) << seed;
      ASSERT_LE(p.data() + p.size(), m.data + m.len) << seed;
    }
  }
}

}  // namespace
}  // namespace penstock
