// A node that breaks the protocol is cut off with a word about what it did; nothing crashes, and no
// descriptor stays open.
#include <cstring>
#include <filesystem>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include "dataplane/base/event.h"
#include "dataplane/client/penstock.hpp"
#include "tests/dataplane/client/mini_node.h"

namespace penstock::test {
namespace {

size_t open_descriptors() {
  size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    n++;
  return n;
}

// Descriptors of every kind but the right one.
struct Oddments {
  Fd event{*make_event()};
  Fd unsealed{memfd_create("unsealed", MFD_CLOEXEC)};
  SealedMemory writable;  // nobody sealed writes
  SealedMemory small;     // too small for anything

  Oddments() {
    if (ftruncate(unsealed.get(), 1 << 20) != 0) std::abort();
    writable = std::move(*SealedMemory::create("writable", sizeof(PositionTable)));
    small = std::move(*SealedMemory::create("small", 1));
    small.seal_writes();
  }
};

class HostileNode : public ::testing::Test {
 protected:
  MiniNode node;
  Oddments odd;

  // Sends `packet` unasked to a client with a publisher and a subscriber, and looks at the end.
  template <class T>
  void expect_cut_off(const std::function<void(T&)>& change, std::initializer_list<int> fds,
                      const char* what) {
    SCOPED_TRACE(what);
    const size_t before = open_descriptors();
    {
      auto client = pen::Client::attach("victim", node.socket());
      auto publisher = client->publisher({.name = "p"});
      const uint32_t t = *publisher->topic("t");
      auto subscriber = client->subscriber("other");
      T packet;
      change(packet);
      node.say(packet, fds);
      pen::Message m;
      EXPECT_EQ(subscriber->recv(m, 10'000'000'000), PENSTOCK_CLOSED);
      EXPECT_EQ(publisher->send(t, "x"), PENSTOCK_CLOSED);
      EXPECT_EQ(client->query("lanes").code(), PENSTOCK_CLOSED);
      EXPECT_NE(std::strstr(pen::last_error(), "broke the attach protocol"), nullptr)
          << pen::last_error();
    }
    while (node.subscriptions() != 0)
      usleep(1000);
    EXPECT_EQ(open_descriptors(), before);
  }

  // Answers a question wrongly and expects the call that asked to fail.
  template <class T>
  void expect_refused(attach::Type question, const std::function<void(T&)>& change,
                      const std::vector<int>& fds, const char* what) {
    SCOPED_TRACE(what);
    const size_t before = open_descriptors();
    {
      auto client = pen::Client::attach("victim", node.socket());
      ASSERT_TRUE(client) << pen::last_error();
      node.answer(question, [&](Session& s, const Packet& p) {
        T packet;
        change(packet);
        packet.header.request = p.header().request;
        s.send(std::as_bytes(std::span(&packet, 1)), fds);
      });
      pen::Code code = PENSTOCK_OK;
      if (question == attach::Type::kHello)
        code = pen::Client::attach("victim", node.socket()).code();
      else if (question == attach::Type::kDeclare)
        code = client->publisher().code();
      else if (question == attach::Type::kSubscribe)
        code = client->subscriber("t").code();
      else
        code = client->query("lanes").code();
      EXPECT_EQ(code, PENSTOCK_VERSION) << pen::last_error();
      node.answer(question, nullptr);
    }
    usleep(20'000);
    EXPECT_EQ(open_descriptors(), before);
  }
};

struct Blob {
  attach::Header header{};
  char bytes[5000] = {};
};
struct Stub {
  attach::Header header{};
};

TEST_F(HostileNode, PacketsOfNoType) {
  for (const uint32_t type : {0u, 1u, 9u, 32u, 34u, 42u, 43u, ~0u})
    expect_cut_off<Stub>([&](Stub& s) { s.header.type = static_cast<attach::Type>(type); }, {},
                         std::to_string(type).c_str());
}

TEST_F(HostileNode, PacketsOfAWrongSize) {
  using attach::Type;
  for (const Type type :
       {Type::kReader, Type::kReaderGone, Type::kJoin, Type::kLeave, Type::kError}) {
    expect_cut_off<Stub>([&](Stub& s) { s.header.type = type; }, {}, "stub");
    expect_cut_off<Blob>([&](Blob& b) { b.header.type = type; }, {}, "blob");
  }
  expect_cut_off<uint8_t>([](uint8_t& x) { x = 0; }, {}, "one byte");
}

// More than a client takes: the kernel cuts them off, and the client cuts the node off.
TEST_F(HostileNode, TooManyDescriptors) {
  auto client = pen::Client::attach("victim", node.socket());
  const size_t before = open_descriptors();
  node.each_session([&](Session& s) {
    constexpr size_t kMany = attach::kMaxDescriptors + 5;
    attach::Ok ok;
    alignas(cmsghdr) char control[CMSG_SPACE(kMany * sizeof(int))] = {};
    iovec io{&ok, sizeof ok};
    msghdr msg{};
    msg.msg_iov = &io;
    msg.msg_iovlen = 1;
    msg.msg_control = control;
    msg.msg_controllen = sizeof control;
    cmsghdr* c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(kMany * sizeof(int));
    const std::vector<int> fds(kMany, odd.event.get());
    std::memcpy(CMSG_DATA(c), fds.data(), kMany * sizeof(int));
    EXPECT_GT(sendmsg(s.fd(), &msg, 0), 0);
  });
  EXPECT_EQ(client->query("lanes").code(), PENSTOCK_VERSION);
  while (open_descriptors() > before - 1)  // the node's end goes too
    usleep(1000);
}

TEST_F(HostileNode, JoinsThatMakeNoSense) {
  const LaneGeometry geometry{8, 16, 32};
  SealedMemory lane = std::move(*SealedMemory::create("lane", geometry.total_bytes()));
  SealedMemory page = std::move(*SealedMemory::create("page", sizeof(NodePage)));
  lane.seal_writes();
  page.seal_writes();
  const std::initializer_list<int> right{lane.fd(), page.fd()};
  const auto change = [&](const std::function<void(attach::Join&)>& how) {
    return [this, how](attach::Join& j) {
      j.subscription = node.any_subscription();
      j.lane_id = 77;
      j.geometry = {8, 16, 32};
      how(j);
    };
  };
  const auto as_is = change([](attach::Join&) {});
  expect_cut_off<attach::Join>(as_is, {}, "no descriptors");
  expect_cut_off<attach::Join>(as_is, {lane.fd()}, "one descriptor");
  expect_cut_off<attach::Join>(as_is, {lane.fd(), page.fd(), page.fd()}, "three descriptors");
  expect_cut_off<attach::Join>(as_is, {page.fd(), lane.fd()}, "the wrong way round");
  expect_cut_off<attach::Join>(as_is, {odd.event.get(), page.fd()}, "an event as a lane");
  expect_cut_off<attach::Join>(as_is, {odd.unsealed.get(), page.fd()}, "an unsealed lane");
  expect_cut_off<attach::Join>(as_is, {lane.fd(), odd.writable.fd()}, "a page of a wrong size");
  expect_cut_off<attach::Join>(as_is, {odd.small.fd(), odd.small.fd()}, "small pages");
  expect_cut_off<attach::Join>(change([](attach::Join& j) { j.geometry.ring_log2 = 60; }), right,
                               "a huge ring");
  expect_cut_off<attach::Join>(change([](attach::Join& j) { j.geometry.arena_log2 = 17; }), right,
                               "a larger arena than there is");
  expect_cut_off<attach::Join>(change([](attach::Join& j) { j.geometry.topics = 0; }), right,
                               "no topics");
  expect_cut_off<attach::Join>(change([](attach::Join& j) { j.index = kMaxReaders; }), right,
                               "mark outside the page");
  expect_cut_off<attach::Join>(change([](attach::Join& j) { j.slot = kPositionSlots; }), right,
                               "slot outside the table");
  expect_cut_off<attach::Join>(change([](attach::Join& j) { j.lossy = 2; }), right, "lossy 2");
  expect_cut_off<attach::Join>(
      change([](attach::Join& j) { std::memset(j.publisher, 'x', sizeof j.publisher); }), right,
      "a name without end");
  expect_cut_off<attach::Join>([](attach::Join&) {}, {}, "subscription 0");
}

TEST_F(HostileNode, ReadersThatMakeNoSense) {
  SealedMemory table = std::move(*SealedMemory::create("table", sizeof(PositionTable)));
  table.seal_writes();
  const int event = odd.event.get();
  const auto change = [&](const std::function<void(attach::Reader&)>& how) {
    return [this, how](attach::Reader& r) {
      r.lane_id = node.lane_of("p");
      r.table = 5;
      how(r);
    };
  };
  const auto as_is = change([](attach::Reader&) {});
  expect_cut_off<attach::Reader>(as_is, {}, "no descriptors");
  expect_cut_off<attach::Reader>(as_is, {table.fd()}, "no event");
  expect_cut_off<attach::Reader>(as_is, {event, table.fd()}, "the wrong way round");
  expect_cut_off<attach::Reader>(as_is, {odd.writable.fd(), event}, "a table others can map");
  expect_cut_off<attach::Reader>(as_is, {odd.small.fd(), event}, "a small table");
  expect_cut_off<attach::Reader>(change([](attach::Reader& r) { r.index = kMaxReaders; }),
                                 {table.fd(), event}, "mark outside the page");
  expect_cut_off<attach::Reader>(change([](attach::Reader& r) { r.slot = kPositionSlots; }),
                                 {table.fd(), event}, "slot outside the table");
  expect_cut_off<attach::Reader>(change([](attach::Reader& r) { r.worker = 1; }),
                                 {table.fd(), event}, "a worker that is not there");
}

TEST_F(HostileNode, WordsAboutTheUnknownAreIgnored) {
  auto client = pen::Client::attach("victim", node.socket());
  auto publisher = client->publisher({.name = "p"});
  auto subscriber = client->subscriber("t");
  const uint32_t t = *publisher->topic("t");
  attach::Leave leave;
  leave.subscription = node.any_subscription();
  leave.lane_id = 999;
  node.say(leave);
  attach::ReaderGone gone;
  gone.lane_id = node.lane_of("p");
  gone.index = 12345;
  gone.table = 999;
  node.say(gone);
  gone.index = 7;
  node.say(gone);
  attach::Reader reader;
  reader.lane_id = 999;
  node.say(reader);
  attach::Join join;
  join.subscription = 999;
  node.say(join, {odd.event.get(), odd.event.get()});
  EXPECT_TRUE(client->query("lanes")) << pen::last_error();
  EXPECT_EQ(publisher->send(t, "x"), PENSTOCK_OK);
  pen::Message m;
  EXPECT_EQ(subscriber->recv(m), PENSTOCK_OK);
}

TEST_F(HostileNode, LastWordsAreKept) {
  auto client = pen::Client::attach("victim", node.socket());
  attach::Error e;
  e.code = 5;
  std::strcpy(e.text, "going down for repair");
  node.say(e);
  node.die();
  EXPECT_EQ(client->query("lanes").code(), PENSTOCK_CLOSED);
  EXPECT_NE(std::strstr(pen::last_error(), "going down for repair"), nullptr);
}

TEST_F(HostileNode, WhatIsSaidOfALaneIsNoReasonForAnythingElse) {
  auto client = pen::Client::attach("victim", node.socket());
  auto taken = client->publisher({.name = "taken"});
  auto other = client->publisher({.name = "other"});
  const uint32_t a = *taken->topic("a"), b = *other->topic("b");
  attach::Error e;
  e.code = static_cast<uint32_t>(Errc::kDenied);
  e.lane = static_cast<uint32_t>(node.lane_of("taken"));
  std::strcpy(e.text, "not permitted to publish 'a'");
  node.say(e);
  node.lose_lane_of("taken");
  EXPECT_EQ(taken->send(a, "x"), PENSTOCK_CLOSED);
  EXPECT_STREQ(pen::last_error(), "the node said: not permitted to publish 'a'");
  EXPECT_EQ(other->send(b, "x"), PENSTOCK_OK);
  node.lose_lane_of("other");
  EXPECT_EQ(other->send(b, "x"), PENSTOCK_CLOSED);
  EXPECT_STREQ(pen::last_error(), "the node has closed the lane");
  node.die();
  EXPECT_EQ(client->query("lanes").code(), PENSTOCK_CLOSED);
  EXPECT_STREQ(pen::last_error(), "the node went away");
}

TEST_F(HostileNode, AFarewellIsNoReasonForNonsense) {
  auto client = pen::Client::attach("victim", node.socket());
  attach::Error e;
  e.code = static_cast<uint32_t>(Errc::kDenied);
  std::strcpy(e.text, "going down for repair");
  node.say(e);
  attach::Header nonsense{static_cast<attach::Type>(77), 0};
  node.say(nonsense);
  EXPECT_EQ(client->query("lanes").code(), PENSTOCK_VERSION);
  EXPECT_STREQ(pen::last_error(),
               "the node broke the attach protocol: a packet's type makes no sense");
}

TEST_F(HostileNode, WrongAnswersToHello) {
  using attach::Type;
  using attach::Welcome;
  const int e = odd.event.get();
  expect_refused<Stub>(
      Type::kHello, [](Stub& s) { s.header.type = Type::kWelcome; }, {}, "short");
  expect_refused<Stub>(
      Type::kHello, [](Stub& s) { s.header.type = Type::kOk; }, {}, "Ok");
  expect_refused<Stub>(
      Type::kHello, [](Stub& s) { s.header.type = Type::kError; }, {}, "Error");
  expect_refused<Welcome>(
      Type::kHello, [](Welcome&) {}, {}, "no descriptors");
  expect_refused<Welcome>(
      Type::kHello, [](Welcome&) {}, {e, e, e}, "events");
  expect_refused<Welcome>(
      Type::kHello, [](Welcome& w) { w.workers = 33; }, {e, e, e}, "workers");
  expect_refused<Welcome>(
      Type::kHello, [](Welcome&) {}, {odd.writable.fd(), odd.small.fd(), odd.writable.fd()},
      "memory of wrong sizes");
}

TEST_F(HostileNode, WrongAnswersToDeclare) {
  using attach::Declared;
  using attach::Type;
  const LaneGeometry geometry{8, 16, 32};
  SealedMemory lane = std::move(*SealedMemory::create("lane", geometry.total_bytes()));
  SealedMemory page = std::move(*SealedMemory::create("page", sizeof(NodePage)));
  page.seal_writes();
  const auto right = [](Declared& d) {
    d.lane_id = 77;
    d.geometry = {8, 16, 32};
  };
  expect_refused<Declared>(Type::kDeclare, right, {}, "no descriptors");
  expect_refused<Declared>(Type::kDeclare, right, {lane.fd(), page.fd()}, "no header in the lane");
  LaneWriter::format(lane.map(Access::kReadWrite)->data(), geometry, 78, 1);
  expect_refused<Declared>(Type::kDeclare, right, {lane.fd(), page.fd()}, "another lane");
  expect_refused<Declared>(Type::kDeclare, right, {page.fd(), lane.fd()}, "the wrong way round");
  expect_refused<Declared>(
      Type::kDeclare,
      [&](Declared& d) {
        right(d);
        d.bell_slot = 512;
      },
      {lane.fd(), page.fd()}, "bell outside the page");
  expect_refused<Declared>(
      Type::kDeclare,
      [&](Declared& d) {
        right(d);
        d.geometry.ring_log2 = 0;
      },
      {lane.fd(), page.fd()}, "no ring");
}

TEST_F(HostileNode, WrongAnswersToSubscribeAndQuery) {
  using attach::Answer;
  using attach::Subscribed;
  using attach::Type;
  const auto one = [](Subscribed& s) { s.subscription = 1; };
  expect_refused<Subscribed>(Type::kSubscribe, one, {}, "no event");
  expect_refused<Subscribed>(Type::kSubscribe, one, {odd.small.fd()}, "memory as event");
  expect_refused<Subscribed>(
      Type::kSubscribe, [](Subscribed&) {}, {odd.event.get()}, "number 0");
  expect_refused<Answer>(
      Type::kQuery, [](Answer&) {}, {}, "no text");
  expect_refused<Answer>(
      Type::kQuery, [](Answer& a) { a.bytes = ~uint64_t{0}; }, {odd.small.fd()}, "endless text");
  expect_refused<Answer>(
      Type::kQuery, [](Answer& a) { a.bytes = 5000; }, {odd.small.fd()}, "less text than said");
  expect_refused<Answer>(
      Type::kQuery, [](Answer& a) { a.bytes = 5; }, {odd.event.get()}, "an event as text");
}

}  // namespace
}  // namespace penstock::test
