#include "dataplane/link/spread.h"

#include <gtest/gtest.h>
#include <set>

namespace penstock {
namespace {

constexpr uint32_t kBytes = 1000;

TEST(Spread, GoesRoundItsPorts) {
  Spread s(3);
  std::set<uint16_t> numbers;
  for (int i = 0; i < 3; i++)
    numbers.insert(s.number(s.next()));
  EXPECT_EQ(numbers, (std::set<uint16_t>{0, 1, 2}));
  EXPECT_TRUE(s.reorders());
  EXPECT_FALSE(Spread(1).reorders());
  EXPECT_EQ(Spread(1).next(), 0);
}

TEST(Spread, ChangesThePortByWhichAllVanish) {
  Spread s(2);
  for (uint64_t p = 1; p < Spread::kLostInARow; p++)
    EXPECT_FALSE(s.lost(1, p, kBytes, 100));
  EXPECT_TRUE(s.lost(1, 50, kBytes, 100));
  EXPECT_EQ(s.number(0), 0);
  EXPECT_EQ(s.number(1), 2);
}

TEST(Spread, KeepsThePortByWhichSomeArrive) {
  Spread s(1);
  for (uint64_t p = 1; p < 1000; p++) {
    EXPECT_FALSE(s.lost(0, p, kBytes, p + 1));
    if (p % (Spread::kLostInARow - 1) == 0) s.acked(0, p, kBytes);
  }
  EXPECT_EQ(s.number(0), 0);
}

// A way that has become too narrow lets small ones through.
TEST(Spread, SmallPacketsDoNotSpeakForLargeOnes) {
  Spread s(1);
  for (uint64_t p = 1; p < Spread::kLostInARow; p++) {
    EXPECT_FALSE(s.lost(0, p, kBytes, 100));
    s.acked(0, p, kBytes - 1);
  }
  EXPECT_TRUE(s.lost(0, 50, kBytes, 100));
}

// A whole window may have been on its way by the old one.
TEST(Spread, WhatWentByTheOldPortSaysNothingOfTheNew) {
  Spread s(1);
  for (uint64_t p = 1; p <= Spread::kLostInARow; p++)
    (void)s.lost(0, p, kBytes, 100);
  for (uint64_t p = 9; p < 100; p++)
    EXPECT_FALSE(s.lost(0, p, kBytes, 100));
  for (uint64_t p = 100; p < 99 + Spread::kLostInARow; p++)
    EXPECT_FALSE(s.lost(0, p, kBytes, 200));
  s.acked(0, 99, kBytes);
  EXPECT_TRUE(s.lost(0, 150, kBytes, 200));
  EXPECT_EQ(s.number(0), 2);
}

TEST(Spread, WhoHearsTheSameAgainAndAgainAnswersByOtherPorts) {
  Spread s(2);
  for (uint32_t i = 1; i < Spread::kTwiceInARow; i++)
    EXPECT_FALSE(s.came(true, 10));
  EXPECT_FALSE(s.came(false, 10));
  for (uint32_t i = 1; i < Spread::kTwiceInARow; i++)
    EXPECT_FALSE(s.came(true, 10));
  EXPECT_TRUE(s.came(true, 10));
  EXPECT_EQ(s.number(0), 2);
  EXPECT_EQ(s.number(1), 3);
}

// Where a network lets only the path's own port through, every other call goes by it.
TEST(Spread, CallsByThePathsOwnPortAgainAndAgain) {
  Spread s(2);
  int own = 0;
  for (int i = 0; i < 10; i++) {
    s.call_by_another(1);
    own += s.number(0) == 0 ? 1 : 0;
    EXPECT_NE(s.number(1), 0);
  }
  EXPECT_EQ(own, 5);
}

TEST(Spread, NumbersWrapWithoutThePathsOwn) {
  Spread s(1);
  for (int i = 0; i < 65'535; i++)
    s.change_all(1);
  EXPECT_EQ(s.number(0), 65'535);
  s.change_all(1);
  EXPECT_EQ(s.number(0), 1);
}

}  // namespace
}  // namespace penstock
