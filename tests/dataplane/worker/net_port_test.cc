// Who may begin a session through a port: a stranger on the net forges HELLOs of a peer.
#include "dataplane/net_port.h"

#include <gtest/gtest.h>
#include <vector>

#include "dataplane/wire/close.h"
#include "dataplane/wire/crc32c.h"
#include "drivers/sim/sim_net.h"

namespace penstock {
namespace {

constexpr uint16_t kUdp = 9470;

struct Host {
  Host(SimNet& net, uint64_t id, const char* address)
      : sim(net.add_port()), port(sim, config(sim, address)), self(id) {}

  static NetPort::Config config(SimPort& sim, const char* address) {
    NetPort::Config c;
    c.station.mac.bytes = sim.info().mac;
    c.station.v4 = *parse_ip(address);
    c.udp_port = kUdp;
    return c;
  }
  void add_peer(uint64_t id, const char* address, uint64_t now) {
    LinkPath::Config c;
    c.link.self_id = self;
    c.link.peer_id = id;
    c.link.seed = self;
    c.remote = *parse_ip(address);
    c.local_udp = c.remote_udp = kUdp;
    path = std::make_unique<LinkPath>(c, sim.info().max_frame);
    ASSERT_EQ(port.add_link(path.get(), now), Errc::kOk);
  }
  void turn(uint64_t now) {
    port.receive(now);
    port.transmit(now);
    LinkNotice n;
    while (port.next_notice(n))
      if (n.event.kind == LinkEvent::kDown) downs++;
  }

  SimPort& sim;
  NetPort port;
  uint64_t self;
  std::unique_ptr<LinkPath> path;
  int downs = 0;
};

class Door : public ::testing::Test {
 protected:
  Door() {
    a.add_peer(2, "10.0.0.2", now);
    b.add_peer(1, "10.0.0.1", now);
    settle();
  }
  void settle() {
    for (int i = 0; i < 2000; i++) {
      net.advance(now += 50'000);
      a.turn(now);
      b.turn(now);
    }
  }
  // A HELLO of b's, as a stranger would send it, to a.
  void forge(const char* from, uint32_t nonce, uint64_t cookie = 0, uint16_t protocol = kProtocol,
             uint64_t node = 2) {
    a.sim.inject(hello_frame(a.sim, "10.0.0.1",
                             {.protocol = protocol,
                              .max_frame = 1400,
                              .node = node,
                              .epoch = 1,
                              .connection = 77,
                              .nonce = nonce,
                              .cookie = cookie},
                             from));
  }
  std::vector<std::byte> hello_frame(SimPort& to, const char* address, const Hello& h,
                                     const char* from = "10.0.0.2") const {
    MacAddress mac;
    mac.bytes = to.info().mac;
    Encap encap({mac, b.port.config().station.mac, *parse_ip(from), *parse_ip(address), kUdp, kUdp},
                {});
    std::vector<std::byte> frame(encap.size() + kHelloFrameSize);
    const auto hop = std::span(frame).subspan(encap.size());
    write_hello(h, hop.subspan(kHopHeaderSize));
    write_hop({.type = FrameType::kHello, .incarnation = 1, .packet = 1}, hop);
    seal(hop, {});
    encap.write(frame, {});
    return frame;
  }
  uint64_t dropped(Drop d) const { return a.port.drops().read(d); }

  SimNet net{1};
  uint64_t now = 1'000'000'000;
  Host a{net, 1, "10.0.0.1"};
  Host b{net, 2, "10.0.0.2"};
};

TEST_F(Door, OpensForWhoShowsACookie) {
  EXPECT_TRUE(a.path->link.up());
  EXPECT_TRUE(b.path->link.up());
  EXPECT_GT(dropped(Drop::kNoCookie) + b.port.drops().read(Drop::kNoCookie), 0u);
}

// The peer's session goes on whatever is forged: only what the peer gets could answer for it.
TEST_F(Door, AForgedHelloChangesNothing) {
  const uint32_t session = a.path->link.connection();
  for (uint32_t i = 0; i < 50; i++) {
    forge("10.0.0.2", 0x70000000 + i, i);
    settle();
  }
  EXPECT_EQ(a.path->link.connection(), session);
  EXPECT_EQ(a.downs, 0);
  EXPECT_TRUE(a.path->link.up() && b.path->link.up());
  EXPECT_GE(dropped(Drop::kNoCookie), 50u);
}

// All that a frame of the session has to name can be guessed, but not sent from elsewhere.
TEST_F(Door, ACloseFromElsewhereEndsNothing) {
  for (const char* from : {"10.0.0.3", "10.0.0.2"}) {
    Encap encap({a.port.config().station.mac, b.port.config().station.mac, *parse_ip(from),
                 *parse_ip("10.0.0.1"), kUdp, kUdp},
                {});
    std::vector<std::byte> frame(encap.size() + kHopHeaderSize + kCloseSize);
    const auto hop = std::span(frame).subspan(encap.size());
    write_close({LinkClose::kStopped, 0}, hop.subspan(kHopHeaderSize).first<kCloseSize>());
    write_hop({.type = FrameType::kClose,
               .incarnation = 1,
               .connection = a.path->link.connection(),
               .packet = 99},
              hop);
    seal(hop, {});
    encap.write(frame, {});
    a.sim.inject(frame);
    settle();
    EXPECT_EQ(a.downs, from == std::string_view("10.0.0.2") ? 1 : 0) << from;
  }
  EXPECT_EQ(dropped(Drop::kForeign), 1u);
}

TEST_F(Door, ALinkThatWasRefusedTakesNobodysPlaceWhenItGoes) {
  LinkPath other(a.path->config, a.sim.info().max_frame);
  EXPECT_EQ(a.port.add_link(&other, now), Errc::kBusy);
  a.port.remove_link(&other);
  LinkPath third(a.path->config, a.sim.info().max_frame);
  EXPECT_EQ(a.port.add_link(&third, now), Errc::kBusy);
}

TEST_F(Door, APeerSpeaksFromWhereItIs) {
  forge("10.0.0.3", 0x70000000);
  settle();
  EXPECT_EQ(dropped(Drop::kForeign), 1u);
  EXPECT_EQ(a.downs, 0);
}

// Fewer and smaller: nobody is flooded through us.
TEST_F(Door, AnswersLessThanItIsAsked) {
  const uint64_t frames = a.sim.stats().tx_frames.read();
  const uint64_t bytes = a.sim.stats().tx_bytes.read();
  const uint64_t begin = now;
  for (int i = 0; i < 1000; i++) {
    forge("10.0.0.2", 0x70000000);
    net.advance(now += 1000);
    a.turn(now);
  }
  const uint64_t answers = a.sim.stats().tx_frames.read() - frames;
  EXPECT_GT(answers, 0u);
  EXPECT_LE(answers, (now - begin) / 100'000 + 2);
  EXPECT_LE(a.sim.stats().tx_bytes.read() - bytes, 100 * answers);
}

// Who forges the address of one peer does not keep another from its cookie.
TEST_F(Door, OneIsAnsweredWhileAnotherIsForged) {
  LinkPath::Config c = a.path->config;
  c.link.peer_id = 3;
  c.link.index = 1;
  c.remote = *parse_ip("10.0.0.3");
  LinkPath path(c, a.sim.info().max_frame);
  ASSERT_EQ(a.port.add_neighbour(c.remote, b.port.config().station.mac), Errc::kOk);
  ASSERT_EQ(a.port.add_link(&path, now), Errc::kOk);
  settle();
  const uint64_t frames = a.sim.stats().tx_frames.read();
  forge("10.0.0.2", 0x70000000);
  forge("10.0.0.3", 0x70000000, 0, kProtocol, 3);
  a.turn(now);
  EXPECT_EQ(a.sim.stats().tx_frames.read() - frames, 2u);
  a.port.remove_link(&path);
}

// A NIC cannot know whose worker's a HELLO is: it names its path, and that is a worker's.
TEST_F(Door, AHelloInAnotherWorkersQueueIsHandedOver) {
  SimPort& sim = net.add_port();
  NetPort::Config config = Host::config(sim, "10.0.0.9");
  config.workers = 2;
  NetPort first(sim, config);
  config.worker = 1;
  NetPort second(sim, config);  // it never looks first, so one queue does for two
  first.add_sibling(1, second);
  second.add_sibling(0, first);
  LinkPath::Config c = a.path->config;
  c.link.path = 1;
  c.link.index = 1;
  c.link.worker = 1;
  LinkPath path(c, sim.info().max_frame);
  ASSERT_EQ(second.add_neighbour(c.remote, b.port.config().station.mac), Errc::kOk);
  ASSERT_EQ(second.add_link(&path, now), Errc::kOk);
  second.transmit(now);  // its own call
  const uint64_t frames = sim.stats().tx_frames.read();
  const size_t held = sim.held_by_caller();
  const std::vector<std::byte> hello = hello_frame(
      sim, "10.0.0.9",
      {.path = 1, .max_frame = 1400, .node = 2, .epoch = 1, .connection = 77, .nonce = 0x70000000});
  for (int i = 0; i < 300; i++)  // more than there is room for, between two workers
    sim.inject(hello);
  while (first.receive(now) != 0) {
  }
  EXPECT_EQ(first.drops().read(Drop::kNoBuffer), 300u - 256u) << "the rest is on its way";
  while (second.receive(now) != 0) {
  }
  second.transmit(now);
  EXPECT_EQ(second.drops().read(Drop::kNoCookie), 256u);
  EXPECT_EQ(sim.stats().tx_frames.read() - frames, 1u) << "a RETRY";
  EXPECT_EQ(sim.held_by_caller(), held) << "all frames were given back";
  second.remove_link(&path);
}

// Who speaks another protocol may know no cookies, and is told so at once.
TEST_F(Door, AnotherProtocolIsToldSo) {
  forge("10.0.0.2", 0x70000000, 0, kProtocol + 1);
  settle();
  EXPECT_EQ(a.path->link.stats().drops.read(Drop::kBadVersion), 1u);
  EXPECT_EQ(a.downs, 0);
}

}  // namespace
}  // namespace penstock
