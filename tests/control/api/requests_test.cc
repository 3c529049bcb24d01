#include "control/api/requests.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <thread>
#include <vector>

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 60s;  // a bound for a busy machine, never a measure

Requests::Clock::time_point in(std::chrono::milliseconds wait) {
  return Requests::Clock::now() + wait;
}

bool readable(const Requests& requests, int wait_ms) {
  pollfd p{requests.events(), POLLIN, 0};
  return poll(&p, 1, wait_ms) == 1;
}

Requests::Reply echo(const std::string& call, const std::string& request) {
  return {call + " " + request};
}

TEST(Requests, AreAnsweredOnTheThreadThatPolls) {
  Requests requests;
  ApiAnswer answer = "";
  std::thread caller([&] { answer = requests.ask("Call", "{}", in(kPatience)); });
  ASSERT_TRUE(readable(requests, 60'000));
  std::thread::id where;
  EXPECT_EQ(requests.poll([&](const std::string& call, const std::string& request) {
    where = std::this_thread::get_id();
    return echo(call, request);
  }),
            1u);
  caller.join();
  EXPECT_EQ(where, std::this_thread::get_id());
  EXPECT_EQ(answer.value_or(""), "Call {}");
  EXPECT_FALSE(readable(requests, 0));
}

TEST(Requests, GiveUpInTimeAndAreThenNotCarriedOut) {
  Requests requests;
  const ApiAnswer answer = requests.ask("Call", "{}", in(10ms));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().fault, ApiFault::kTimeout);
  EXPECT_EQ(requests.poll(echo), 0u);
}

TEST(Requests, ThatTakeLongerAreWaitedForByWhoAsked) {
  Requests requests;
  ApiAnswer answer = "";
  std::thread::id asked, waited;
  std::thread caller([&] {
    asked = std::this_thread::get_id();
    answer = requests.ask("Call", "{}", in(kPatience));
  });
  ASSERT_TRUE(readable(requests, 60'000));
  requests.poll([&](const std::string&, const std::string&) {
    return Requests::Reply{"", [&](Requests::Clock::time_point) {
                             waited = std::this_thread::get_id();
                             return ApiAnswer("late");
                           }};
  });
  caller.join();
  EXPECT_EQ(answer.value_or(""), "late");
  EXPECT_EQ(waited, asked);
}

TEST(Requests, ThatWaitAndThatComeLaterAreTurnedAwayByClose) {
  Requests requests;
  ApiAnswer waiting = "";
  std::thread caller([&] { waiting = requests.ask("Call", "{}", in(kPatience)); });
  ASSERT_TRUE(readable(requests, 60'000));
  requests.close();
  caller.join();
  ASSERT_FALSE(waiting);
  EXPECT_EQ(waiting.error().fault, ApiFault::kGone);
  const ApiAnswer later = requests.ask("Call", "{}", in(kPatience));
  ASSERT_FALSE(later);
  EXPECT_EQ(later.error().fault, ApiFault::kGone);
}

TEST(Requests, OfManyEachGetsItsOwnAnswerAndAPollTakesAFew) {
  constexpr int kCallers = 32, kCalls = 50;
  Requests requests;
  std::vector<std::thread> callers;
  std::vector<int> right(kCallers);
  for (int i = 0; i < kCallers; i++)
    callers.emplace_back([&, i] {
      for (int n = 0; n < kCalls; n++) {
        const std::string request = std::to_string(i) + "/" + std::to_string(n);
        const ApiAnswer answer = requests.ask("Call", request, in(kPatience));
        right[static_cast<size_t>(i)] += answer.value_or("") == "Call " + request ? 1 : 0;
      }
    });
  for (uint32_t answered = 0; answered < kCallers * kCalls;) {
    ASSERT_TRUE(readable(requests, 60'000));
    const uint32_t n = requests.poll(echo);
    EXPECT_LE(n, 8u);
    answered += n;
  }
  for (std::thread& t : callers)
    t.join();
  EXPECT_EQ(right, std::vector<int>(kCallers, kCalls));
}

}  // namespace
}  // namespace penstock
