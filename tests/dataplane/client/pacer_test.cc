#include "dataplane/client/pacer.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace penstock::client {
namespace {

TEST(Pacer, SlowCallerLooksEachTime) {
  Pacer p(4);
  for (int i = 0; i < 5; i++) {
    EXPECT_TRUE(p.due());
    usleep(2000);
  }
}

TEST(Pacer, FastCallerLooksSeldomButDoes) {
  Pacer p(4);
  int looks = 0;
  const uint64_t start = Clock::raw_ns();
  while (Clock::raw_ns() - start < 50'000'000)
    looks += p.due() ? 1 : 0;
  EXPECT_GE(looks, 2);
  EXPECT_LE(looks, 60);
}

TEST(Pacer, FindsItsPaceAgainWhenTheCallerSlowsDown) {
  for (const uint32_t most : {1u, 4u, 64u}) {
    Pacer p(most);
    for (int i = 0; i < 1'000'000; i++)
      (void)p.due();
    uint32_t calls = 0;
    do {
      usleep(2000);
      calls++;
    } while (!p.due() && calls < 1000);
    EXPECT_LE(calls, most);
    for (int i = 0; i < 5; i++) {
      usleep(2000);
      EXPECT_TRUE(p.due());
    }
  }
}

TEST(Pacer, SoonIsTheNextCall) {
  Pacer p(4);
  for (int i = 0; i < 100'000; i++)
    (void)p.due();
  usleep(2000);
  p.soon();
  EXPECT_TRUE(p.due());
}

}  // namespace
}  // namespace penstock::client
