// A node with two ports, each with a net and a peer of its own.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "control/node/node.h"
#include "drivers/sim/sim_net.h"

namespace penstock {
namespace {

class Host {
 public:
  explicit Host(uint64_t id) {
    NodeConfig c;
    c.id = id;
    c.epoch = 1;
    c.name = "node" + std::to_string(id);
    c.workers.assign(1, IdleConfig{});
    std::string error;
    node = Node::create(
        c, [](std::string_view) {}, error);
    EXPECT_EQ(error, "");
  }
  ~Host() { node.reset(); }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  NetPort& add_port(SimNet& net, const char* address) {
    NetPort::Config c;
    SimPort& port = net.add_port();
    c.station.mac.bytes = port.info().mac;
    c.station.v4 = *parse_ip(address);
    c.udp_port = 9470;
    nets_.push_back(std::make_unique<NetPort>(port, c));
    node->add_port({.name = address,
                    .device = "sim",
                    .address = address,
                    .mtu = 1500,
                    .net = nets_.back().get()});
    return *nets_.back();
  }

  void add_peer(uint64_t id, NetPort& through, const char* address) {
    LinkPath::Config c;
    c.link.self_id = self_id();
    c.link.peer_id = id;
    c.link.index = static_cast<uint32_t>(id);
    c.link.seed = self_id();
    c.remote = *parse_ip(address);
    c.local_udp = c.remote_udp = 9470;
    std::vector<PathRecord> paths(1);
    paths[0].net = &through;
    paths[0].path = std::make_unique<LinkPath>(c, through.port().info().max_frame);
    node->add_peer(id, "node" + std::to_string(id), std::move(paths));
  }

  void turn(uint64_t now) {
    node->worker(0).turn(now);
    node->poll(now);
  }
  size_t links_up() const {
    size_t n = 0;
    for (const auto& link : nlohmann::json::parse(node->show("links")))
      n += link["state"] == "up" ? 1 : 0;
    return n;
  }

  std::unique_ptr<Node> node;

 private:
  uint64_t self_id() const {
    return nlohmann::json::parse(node->show("node"))["id"].get<uint64_t>();
  }
  std::vector<std::unique_ptr<NetPort>> nets_;
};

TEST(SeveralPorts, EachPeerIsReachedThroughItsOwn) {
  SimNet left(1);
  SimNet right(2);
  Host a(1);
  Host b(2);
  Host c(3);
  a.add_peer(2, a.add_port(left, "10.1.0.1"), "10.1.0.2");
  a.add_peer(3, a.add_port(right, "10.2.0.1"), "10.2.0.3");
  b.add_peer(1, b.add_port(left, "10.1.0.2"), "10.1.0.1");
  c.add_peer(1, c.add_port(right, "10.2.0.3"), "10.2.0.1");
  for (uint64_t now = 1'000'000'000; now < 2'000'000'000; now += 50'000) {
    left.advance(now);
    right.advance(now);
    for (Host* h : {&a, &b, &c})
      h->turn(now);
  }
  EXPECT_EQ(a.links_up(), 2u);
  EXPECT_EQ(b.links_up(), 1u);
  EXPECT_EQ(c.links_up(), 1u);
}

}  // namespace
}  // namespace penstock
