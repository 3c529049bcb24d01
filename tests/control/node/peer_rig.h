// PeerRig: a node whose peer the test plays by hand over a true link, on virtual time. Path 0
// carries the control channel. With two workers there is a path 1, up once the test calls
// answer_path_1().
//
//   guests (attach sockets) ──▶ node, its workers ── SimNet ── HostilePeer (path 0)
//                                               └── SimNet ── a bare link (path 1)
#pragma once

#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "drivers/sim/sim_fabric.h"
#include "tests/fuzz/guest.h"
#include "tests/fuzz/hostile_peer.h"
#include "tests/support/many_files.h"

namespace penstock::test {

struct PeerRigConfig {
  SimPortConfig port;
  uint32_t workers = 1;
  uint64_t node = HostilePeer::kNode;  // its id; the peer has the other
  uint32_t devices = 0;                // for RDMA, that each worker has
  uint32_t max_lanes = 1024;           // of the node's link on path 0, each way
  uint64_t put_from = 16384;
  uint64_t put_wait_ns = 10'000'000'000;
};

class PeerRig : public ::testing::Test {
 protected:
  explicit PeerRig(const PeerRigConfig& c = {})
      : config_(c),
        port_(net_.add_port(c.port)),
        peer_port_(net_.add_port()),
        net_port_(port_, node_port(port_, 0)),
        node(Node::create(
            config(),
            [this](const Event& e) {
              log += e.text + "\n";
              events.push_back(e);
            },
            log)),
        peer(peer_port_, 3 - c.node) {
    allow_many_files();
    std::vector<PathRecord> paths(c.workers);
    paths[0].path = HostilePeer::path(port_, c.node, c.node, c.max_lanes);
    paths[0].net = &net_port_;
    add_port(net_port_, 0);
    if (c.workers > 1) {
      SimPort& port = net_.add_port();
      net_port_1_ = std::make_unique<NetPort>(port, node_port(port, 1));
      paths[1].path = path_1(port, c.node);
      paths[1].net = net_port_1_.get();
      paths[1].worker = 1;
      add_port(*net_port_1_, 1);
    }
    link = &paths[0].path->link;
    for (uint32_t w = 0; w < c.devices * c.workers; w++)
      node->add_fabric("sim", w % c.workers, fabrics.add(), 1'000'000'000);
    node->add_peer(3 - c.node, "hostile", std::move(paths));
    for (int i = 0; i < 500 && !peer.up(); i++)
      settle(1);
    settle(4);
  }

  // Somebody answers on path 1.
  void answer_path_1(uint64_t epoch = 1) {
    SimPort& port = net_.add_port();
    NetPort::Config c = HostilePeer::net_config(port, 3 - config_.node);
    c.station.v4 = address_1(3 - config_.node);
    far_port_1_ = std::make_unique<NetPort>(port, c);
    far_1_ = path_1(port, 3 - config_.node, epoch);
    (void)far_port_1_->add_link(far_1_.get(), now);
    for (int i = 0; i < 50'000 && show("links")[1]["state"] != "up"; i++)
      settle(1);
  }
  // Who answers there forgets the session and calls again.
  void begin_path_1_anew() {
    far_port_1_->remove_link(far_1_.get());
    far_1_ = path_1(far_port_1_->port(), 3 - config_.node);
    (void)far_port_1_->add_link(far_1_.get(), now);
  }
  SimPort& far_sim_port_1() { return static_cast<SimPort&>(far_port_1_->port()); }

  // Everything but the node's control thread.
  void turn() {
    for (int i = 0; i < 4; i++) {
      now += 30'000;
      net_.advance(now);
      fabrics.advance(now);
      peer.turn(now);
      if (far_port_1_ != nullptr) {
        far_port_1_->receive(now);
        hear_of_path_1();
        far_port_1_->transmit(now);
      }
      net_.advance(now += 2000);
      for (uint32_t w = 0; w < config_.workers; w++)
        node->worker(w).turn(now);
    }
    peer.hear();
  }
  void settle(int rounds) {
    for (int r = 0; r < rounds; r++) {
      turn();
      node->poll(now);
    }
  }
  template <class T>
  void say(const T& message) {
    peer.say(std::as_bytes(std::span(&message, 1)));
  }
  peer::LaneTopic topic(uint32_t alias, uint32_t row, const char* name) const {
    peer::LaneTopic m;
    m.alias = alias;
    m.epoch = 1;
    m.topic = row;
    m.lane_id = alias;
    m.geometry = HostilePeer::kLane;
    m.session = peer.session();
    peer::set_text(m.name, name);
    return m;
  }
  static peer::SubAdd wish(uint64_t key, const char* filter) {
    peer::SubAdd m;
    m.key = key;
    peer::set_text(m.filter, filter);
    return m;
  }
  void enter(Guest& g) {
    g.attach(*node, now);
    g.say(attach::Hello{});
    settle(1);
    while (g.hear()) {  // maps its pages before they are sealed
    }
    g.say(attach::Mapped{});
    settle(1);
  }
  // The node answers, and its answers are heard.
  virtual void hear(Guest& g) {
    settle(2);
    while (g.hear()) {
    }
  }
  void subscribe(Guest& g, const char* filter, attach::Mode mode = attach::Mode::kBroadcast) {
    attach::Subscribe m;
    m.mode = mode;
    peer::set_text(m.filter, filter);
    g.say(m);
    hear(g);
  }
  void add_topic(Guest& g, const char* name, uint32_t row = 0) {
    attach::AddTopic t;
    t.lane_id = g.lanes.at(0).id;
    t.topic = row;
    peer::set_text(t.name, name);
    g.say(t);
    hear(g);
  }
  nlohmann::json show(const char* what) { return nlohmann::json::parse(node->show(what)); }

  PeerRigConfig config_;
  std::string log;
  std::vector<Event> events;
  uint64_t now = 1'000'000'000;
  SimNet net_{1};
  SimPort& port_;
  SimPort& peer_port_;
  NetPort net_port_;
  std::unique_ptr<NetPort> net_port_1_;
  SimFabricNet fabrics{1};
  std::unique_ptr<Node> node;
  Link* link = nullptr;  // the node's, of path 0
  HostilePeer peer;
  std::unique_ptr<NetPort> far_port_1_;
  std::unique_ptr<LinkPath> far_1_;
  uint64_t session_1 = 0;      // of path 1, that its far end is in or was
  std::function<void()> up_1;  // it has begun there, and nothing was said in it

 private:
  void hear_of_path_1() {
    if (up_1 && far_1_->link.state() == LinkState::kUp) up_1();
    for (LinkNotice n; far_port_1_->next_notice(n);)
      if (n.event.kind == LinkEvent::kUp) session_1 = n.event.session;
  }
  NodeConfig config() const {
    NodeConfig c;
    c.id = config_.node;
    c.epoch = 1;
    c.name = "node";
    c.lane = c.mirror = c.inbox = HostilePeer::kLane;
    c.put_from_bytes = config_.put_from;
    c.put_wait_ns = config_.put_wait_ns;
    c.workers.assign(config_.workers, IdleConfig{});
    return c;
  }
  static IpAddress address_1(uint64_t id) { return *parse_ip(id == 1 ? "10.9.1.1" : "10.9.1.2"); }
  NetPort::Config node_port(const Port& port, uint32_t worker) const {
    NetPort::Config c = HostilePeer::net_config(port, config_.node);
    if (worker == 1) c.station.v4 = address_1(config_.node);
    c.worker = worker;
    c.workers = config_.workers;
    return c;
  }
  void add_port(NetPort& net, uint32_t worker) {
    node->add_port({.name = "sim",
                    .device = "sim",
                    .address = "",
                    .mtu = 1500,
                    .worker = worker,
                    .queue = 0,
                    .net = &net});
  }
  std::unique_ptr<LinkPath> path_1(const Port& port, uint64_t id, uint64_t epoch = 1) const {
    LinkPath::Config c = HostilePeer::path(port, id, id + 100 * epoch)->config;
    c.link.self_epoch = epoch;
    c.link.path = 1;
    c.link.worker = id == config_.node ? 1 : 0;
    c.remote = address_1(3 - id);
    return std::make_unique<LinkPath>(c, port.info().max_frame);
  }
};

}  // namespace penstock::test
