// A node against a peer that says anything in the control channel of their link, in any order with
// turns of the node, its worker and the peer, and with clients that come and go. Afterwards nothing
// of the session is left.
#include <array>
#include <cstdint>
#include <string>

#include "control/node/node.h"
#include "drivers/sim/sim_fabric.h"
#include "tests/fuzz/guest.h"
#include "tests/fuzz/hostile_peer.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/messages.h"

namespace {

using namespace penstock;
using test::Guest;
using test::HostilePeer;
using test::Input;
using test::must;

constexpr LaneGeometry kNodesChoice{.ring_log2 = 0, .arena_log2 = 0, .topics = 0};
constexpr uint64_t kDeadNs = 20'000'000'000;  // more than a link waits for a silent peer

NodeConfig config(uint64_t node) {
  NodeConfig c;
  c.id = node;
  c.epoch = 1;
  c.name = "fuzzed";
  c.lane = c.mirror = c.inbox = HostilePeer::kLane;
  c.workers.assign(1, IdleConfig{});
  return c;
}

class Game {
 public:
  explicit Game(uint64_t node)
      : port_(net_.add_port()),
        peer_port_(net_.add_port()),
        net_port_(port_, HostilePeer::net_config(port_, node)),
        node_(Node::create(
            config(node), [](std::string_view) {}, error_)),
        peer_(peer_port_, 3 - node) {
    node_->add_port({.name = "sim",
                     .device = "sim",
                     .address = "",
                     .mtu = 1500,
                     .worker = 0,
                     .queue = 0,
                     .net = &net_port_});
    for (int rail = 0; rail < 2; rail++)
      node_->add_fabric("sim", 0, fabrics_.add(), 1'000'000'000);
    std::vector<PathRecord> paths(1);
    paths[0].path = HostilePeer::path(port_, node, node);
    paths[0].net = &net_port_;
    node_->add_peer(3 - node, "hostile", std::move(paths));
    for (Guest& g : guests_)
      enter(g);
    for (int i = 0; i < 500 && !peer_.up(); i++)
      settle(1);
    must(peer_.up());
  }

  void play(Input& i) {
    const uint8_t what = i.byte();
    switch (what % 20) {
      case 0:
        now_ += uint64_t{1} << (i.byte() % 34);
        net_.advance(now_);
        fabrics_.advance(now_);
        break;
      case 1:
        node_->poll(now_);
        break;
      case 2:
        node_->worker(0).turn(now_);
        break;
      case 3:
        settle(4);
        break;
      case 4:
        peer_.hear();
        break;
      case 5:
        peer_.say(i.bytes(i.byte()));
        break;
      case 6:
        peer_.publish(alias(i), i.byte() % 5, i.byte());
        break;
      case 7:
        rest(i);
        break;
      case 8:
      case 9:
        client(guests_[what / 20 % 2], i);
        break;
      default:
        speak(what % 20, i);
    }
  }

  void finish() {
    peer_.hang_up(now_);
    settle(50);
    now_ += kDeadNs;
    settle(50);
    for (Guest& g : guests_)
      g.leave();
    settle(200);
    must(node_->idle());
    must(node_->show("clients") == "[]");
    must(node_->show("lanes") == "[]");
  }

 private:
  void settle(int rounds) {
    for (int r = 0; r < rounds; r++) {
      for (int turn = 0; turn < 4; turn++) {
        now_ += 30'000;
        net_.advance(now_);
        fabrics_.advance(now_);
        peer_.turn(now_);
        net_.advance(now_ += 2000);
        node_->worker(0).turn(now_);
      }
      node_->poll(now_);
    }
  }
  void hear(Guest& g) {
    node_->poll(now_);
    while (g.hear()) {
    }
  }

  // A client with one lane, whose topic nobody knows yet.
  void enter(Guest& g) {
    g.attach(*node_, now_);
    g.say(attach::Hello{});
    hear(g);
    g.say(attach::Mapped{});
    attach::Declare d;
    d.geometry = kNodesChoice;
    g.say(d);
    hear(g);
    g.say(attach::Mapped{.lane_id = g.lanes.at(0).id});
  }

  void client(Guest& g, Input& i) {
    if (!g.attached()) return enter(g);
    switch (i.byte() % 6) {
      case 0: {
        attach::AddTopic t;
        t.lane_id = g.lanes[0].id;
        t.topic = i.byte() % 4;
        peer::set_text(t.name, text(i));
        g.say(t);
        break;
      }
      case 1:
      case 2: {
        attach::Subscribe s;
        s.inbox = kNodesChoice;
        const uint8_t how = i.byte();
        s.mode = static_cast<attach::Mode>(how % 2);
        s.path = static_cast<attach::PathPolicy>(how / 2 % 4);
        peer::set_text(s.filter, text(i));
        g.say(s);
        break;
      }
      case 3:
        while (g.hear()) {
        }
        if (g.subscriptions.empty()) break;
        g.say(attach::Unsubscribe{.subscription = g.subscriptions.back()});
        g.subscriptions.pop_back();
        break;
      case 4:
        publish(g, i);
        break;
      default:
        g.leave();
    }
  }
  void publish(Guest& g, Input& i) {
    const Guest::Lane& l = g.lanes[0];
    auto* header = reinterpret_cast<LaneHeader*>(l.memory.data());
    auto* ring = reinterpret_cast<Descriptor*>(l.memory.data() + l.geometry.ring_at());
    for (int n = i.byte() % 8; n > 0; n--) {
      const uint64_t head = header->head.load();
      Descriptor& d = ring[head & (l.geometry.ring_size() - 1)];
      d.shape.set(pack_shape(8, i.byte() % 4, 0));
      d.stamp.store(head + 1);
      header->head.store(head + 1);
    }
  }

  template <class T>
  void say(const T& message, Input& i) {
    std::vector<std::byte> bytes(sizeof message);
    std::memcpy(bytes.data(), &message, sizeof message);
    const uint8_t how = i.byte();
    for (int n = how >> 6; n > 0; n--)
      bytes[i.near(8) % bytes.size()] = std::byte{i.byte()};
    if (how % 64 == 1) bytes.resize(i.near(bytes.size()) % 1024);
    peer_.say(bytes);
  }

  // The end of the session, what is said seldom, or anything.
  void rest(Input& i) {
    switch (i.byte() % 8) {
      case 0:
        return peer_.hang_up(now_);
      case 1: {
        peer::SubRefused m;
        m.key = peer_.wishes.empty() ? 0 : peer_.wishes[i.byte() % peer_.wishes.size()];
        return say(m, i);
      }
      case 2: {
        peer::LaneHeld m;
        m.alias = alias(i);
        m.epoch = 1;
        m.held = i.byte() % 2;
        return say(m, i);
      }
      case 3:
        return test::PeerMessages::with(i.byte(), [&](auto m) {
          test::scribble(test::contents(m), i);
          say(m, i);
        });
      default:
        return rdma(i);
    }
  }

  // Of a connection that the node called for, or that it is called for; the queue pair is true.
  void rdma(Input& i) {
    const uint8_t how = i.byte();
    const uint32_t life = 1 + how / 8 % 3;
    const uint32_t rail = how / 128;
    peer::RdmaEndpoint end{.rail = rail,
                           .life = life,
                           .session = peer_.session() + (how % 8 == 1 ? 1 : 0),
                           .window = 8,
                           .landing_bytes = sizeof(Landing),
                           .address = endpoint_->address()};
    if (how / 32 == 0) endpoint_ = std::move(*device_.create_endpoint());
    switch (how % 8) {
      case 0:
        return say(peer::RdmaCall{.end = end}, i);
      case 1:
      case 2:
        return say(peer::RdmaAnswer{.end = end}, i);
      case 3:
        return say(peer::RdmaMirror{.alias = alias(i),
                                    .epoch = 1,
                                    .rail = rail,
                                    .life = life,
                                    .key = i.byte(),
                                    .address = i.byte(),
                                    .bytes = HostilePeer::kLane.arena_size()},
                   i);
      case 4:
        return say(
            peer::RdmaLanded{
                .rail = rail, .life = life, .number = i.byte(), .chunks = {~uint64_t{0}}},
            i);
      case 5:
        return say(peer::RdmaRefused{.rail = rail, .life = life}, i);
      default:
        return say(peer::RdmaEnd{.rail = rail, .life = life, .taken = i.byte()}, i);
    }
  }

  void speak(int what, Input& i) {
    switch (what) {
      case 10:
      case 11: {
        peer::SubAdd m;
        const uint8_t how = i.byte();
        m.mode = static_cast<attach::Mode>(how % 2);
        m.key = how / 2 % 4;
        m.path = static_cast<attach::PathPolicy>(how / 8 % 4);
        peer::set_text(m.filter, text(i));
        say(m, i);
        break;
      }
      case 12: {
        peer::SubDel m;
        m.key = i.byte() % 4;
        say(m, i);
        break;
      }
      case 13: {
        peer::SubAck m;
        m.key = peer_.wishes.empty() ? 0 : peer_.wishes[i.byte() % peer_.wishes.size()];
        say(m, i);
        break;
      }
      case 14:
      case 15:
        announce(i);
        break;
      case 16:
        close(i);
        break;
      default:
        answer(i);
    }
  }

  void announce(Input& i) {
    peer::LaneTopic m;
    const uint8_t how = i.byte();
    m.mode = static_cast<attach::Mode>(how % 2);
    m.alias = alias(i);
    m.epoch = 1;
    m.topic = how / 2 % 5;
    m.lane_id = 100 + m.alias;
    m.geometry = HostilePeer::kLane;
    m.session = peer_.session();
    peer::set_text(m.name, text(i));
    if (m.mode == attach::Mode::kGroup) peer::set_text(m.group, text(i));
    say(m, i);
    if (how < 200) peer_.open(m.alias);
  }
  void close(Input& i) {
    peer::LaneClose m;
    m.alias = alias(i);
    m.epoch = 1;
    m.reason = i.byte() % 6;
    say(m, i);
  }
  // To something that the node asked for, now or long ago.
  void answer(Input& i) {
    peer_.hear();
    if (peer_.asked.empty()) return;
    const peer::LaneTopic& asked = peer_.asked[i.byte() % peer_.asked.size()];
    if (i.byte() % 4 == 0) {
      peer::LaneRefused m;
      m.path = asked.path;
      m.alias = asked.alias;
      m.epoch = asked.epoch;
      m.topic = asked.topic;
      m.code = i.byte() % 20;
      return say(m, i);
    }
    peer::LaneReady m;
    m.path = asked.path;
    m.alias = asked.alias;
    m.epoch = asked.epoch;
    m.topic = asked.topic;
    m.mirror = HostilePeer::kLane;
    peer_.take(asked);
    say(m, i);
  }

  static uint32_t alias(Input& i) { return 1 + i.byte() % 4u; }
  static const char* text(Input& i) {
    constexpr const char* kTexts[] = {"a", "b", "a.b", "#", "a", "a.#", "", "\xff\xfe"};
    return kTexts[i.byte() % 8];
  }

  std::string error_;
  SimFabricNet fabrics_{1};
  SimFabric& device_{fabrics_.add()};
  std::unique_ptr<Endpoint> endpoint_{std::move(*device_.create_endpoint())};
  SimNet net_{1};
  SimPort& port_;
  SimPort& peer_port_;
  NetPort net_port_;
  std::unique_ptr<Node> node_;
  HostilePeer peer_;
  std::array<Guest, 2> guests_;
  uint64_t now_ = 1'000'000'000;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  Game game(1 + size % 2);  // who of both calls for RDMA; bytes say the rest
  while (input.more())
    game.play(input);
  game.finish();
  return 0;
}
