// HostilePeer: the other node of a link as a fuzzer plays it. Its link is a true one, so that what
// it says arrives; what it says is up to the fuzzer.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "control/node/records.h"
#include "dataplane/net_port.h"
#include "drivers/sim/sim_net.h"
#include "tests/support/test_lane.h"

namespace penstock::test {

class HostilePeer {
 public:
  static constexpr uint64_t kNode = 1;  // whom it talks to
  static constexpr uint64_t kSelf = 2;
  static constexpr uint16_t kUdp = 9470;
  static constexpr LaneGeometry kLane{.ring_log2 = 3, .arena_log2 = 12, .topics = 4};

  static IpAddress address(uint64_t id) { return *parse_ip(id == 1 ? "10.9.0.1" : "10.9.0.2"); }
  static NetPort::Config net_config(const Port& port, uint64_t id) {
    NetPort::Config c;
    c.station.mac.bytes = port.info().mac;
    c.station.v4 = address(id);
    c.udp_port = kUdp;
    return c;
  }
  // `seed` of its connection ids.
  static std::unique_ptr<LinkPath> path(const Port& port, uint64_t id, uint64_t seed,
                                        uint32_t max_lanes = 1024) {
    LinkPath::Config c;
    c.link.self_id = id;
    c.link.self_epoch = 1;
    c.link.peer_id = 3 - id;
    c.link.seed = seed;
    c.link.max_lanes = max_lanes;
    c.remote = address(3 - id);
    c.local_udp = c.remote_udp = kUdp;
    return std::make_unique<LinkPath>(c, port.info().max_frame);
  }

  // The lower of both ids calls for RDMA, so it matters which the node has.
  explicit HostilePeer(SimPort& port, uint64_t self = kSelf)
      : port_(port),
        self_(self),
        net_(port, net_config(port, self)),
        path_(path(port, self, self)) {
    (void)net_.add_link(path_.get(), 0);
  }
  HostilePeer(const HostilePeer&) = delete;
  HostilePeer& operator=(const HostilePeer&) = delete;
  ~HostilePeer() { net_.remove_link(path_.get()); }

  void turn(uint64_t now) {
    net_.receive(now);
    if (channel_ != nullptr) channel_->forward->poll(now);
    net_.transmit(now);
    LinkNotice notice;
    while (net_.next_notice(notice)) {
      if (notice.event.kind == LinkEvent::kUp) begin(notice.event.session);
      if (notice.event.kind == LinkEvent::kDown) end();
    }
  }
  bool up() const { return channel_ != nullptr; }
  // That is up, or was last.
  uint64_t session() const { return session_; }
  // It goes without a word, or with one.
  void hang_up(uint64_t now) { path_->link.close(LinkClose::kStopped, now); }
  // It forgets the session and calls again, its epoch as before or another.
  void begin_anew(uint64_t now, uint64_t epoch = 1) {
    net_.remove_link(path_.get());
    end();  // its lanes were the link's until now
    LinkPath::Config c = path(port_, self_, self_ + ++lives_ * 1000)->config;
    c.link.self_epoch = epoch;
    path_ = std::make_unique<LinkPath>(c, port_.info().max_frame);
    (void)net_.add_link(path_.get(), now);
  }

  void say(std::span<const std::byte> message) {
    if (up()) (void)channel_->writer.send({}, message);
  }

  // What the node has asked this peer to take, which is what it can answer about.
  void hear() {
    Message m;
    while (up() && channel_->reader.next(m) == LaneReader::Next::kMessage) {
      peer::LaneTopic t;
      peer::SubAdd s;
      if (peer::parse({m.data, static_cast<size_t>(m.len)}, t)) asked.push_back(t);
      if (peer::parse({m.data, static_cast<size_t>(m.len)}, s)) wishes.push_back(s.key);
      peer::SubDel d;
      if (peer::parse({m.data, static_cast<size_t>(m.len)}, d)) unwished.push_back(d.key);
      peer::LaneReady y;
      if (peer::parse({m.data, static_cast<size_t>(m.len)}, y)) ready.push_back(y);
      peer::LaneClose c;
      if (peer::parse({m.data, static_cast<size_t>(m.len)}, c)) closed.push_back(c);
      peer::RdmaAnswer e;
      if (peer::parse({m.data, static_cast<size_t>(m.len)}, e)) rdma.push_back(e.end);
      peer::RdmaEnd n;
      if (peer::parse({m.data, static_cast<size_t>(m.len)}, n)) rdma_ended.push_back(n);
      peer::RdmaMirror i;
      if (peer::parse({m.data, static_cast<size_t>(m.len)}, i)) rdma_mirrors.push_back(i);
      peer::LaneRefused r;
      peer::SubAck a;
      if (peer::parse({m.data, static_cast<size_t>(m.len)}, r)) refused.push_back(r);
      if (peer::parse({m.data, static_cast<size_t>(m.len)}, a)) acknowledged.push_back(a.key);
      channel_->reader.release();
    }
  }
  // Takes the lane of one of these, so that its messages come.
  void take(const peer::LaneTopic& t) {
    if (!up() || ins_.size() >= 4) return;
    ins_.push_back(std::make_unique<Taken>(t));
    (void)path_->link.add_in(&ins_.back()->in);
  }

  // Messages and notices in the lanes that it took.
  uint64_t taken() const {
    uint64_t n = 0;
    for (const auto& taken : ins_)
      n += taken->in.stats().delivered.read();
    return n;
  }
  // Notices in the lanes that it took: so many times messages will not come.
  uint64_t gaps() const {
    uint64_t n = 0;
    for (const auto& taken : ins_)
      n += taken->in.stats().gaps.read();
    return n;
  }

  // A lane of its own that it sends as `alias` (1 to 4).
  void open(uint32_t alias) {
    auto& out = outs_.at(alias - 1);
    if (!up() || out != nullptr) return;
    out = std::make_unique<Sent>(alias);
    (void)path_->link.add_out(&out->out);
  }
  void publish(uint32_t alias, uint32_t topic, size_t len) {
    auto& out = outs_.at(alias - 1);
    if (out == nullptr) return;
    const std::vector<std::byte> bytes(len);
    (void)out->lane.writer().send({.topic = topic, .time_ns = 0, .key = topic % 3}, bytes);
    path_->link.wake(&out->out);
  }

  std::vector<peer::LaneTopic> asked;
  std::vector<uint64_t> wishes;
  std::vector<uint64_t> unwished;
  std::vector<peer::LaneReady> ready;
  std::vector<peer::LaneClose> closed;
  std::vector<peer::LaneRefused> refused;
  std::vector<uint64_t> acknowledged;
  std::vector<peer::RdmaEndpoint> rdma;  // its answers
  std::vector<peer::RdmaEnd> rdma_ended;
  std::vector<peer::RdmaMirror> rdma_mirrors;

 private:
  struct Taken {
    explicit Taken(const peer::LaneTopic& t) : lane(kLane), in(t.alias, 1, lane.writer(), 1) {}
    TestLane lane;
    InLane in;
  };
  struct Sent {
    explicit Sent(uint32_t alias) : lane(kLane), feed(lane), out(alias, 1, kLane, feed) {
      feed.copy_payloads();
    }
    TestLane lane;
    LaneFeed feed;
    OutLane out;
  };

  void begin(uint64_t session) {
    end();
    session_ = session;
    channel_ = std::make_unique<ControlChannel>(3 - self_);
    ControlChannel& c = *channel_;
    c.forward = std::make_unique<Forward>(Forward::Config{.join = c.out.join,
                                                          .path = path_.get(),
                                                          .alias = kControlAlias,
                                                          .epoch = 1,
                                                          .mirror = kControlGeometry,
                                                          .region = nullptr,
                                                          .every_topic = true});
    c.writer.attach_reader(c.out.join.index, c.out.join.generation, &c.out.slot, Wake{});
    c.mirror->attach_reader(c.in.join.index, c.in.join.generation, &c.in.slot, Wake{});
    (void)path_->link.add_in(c.in_lane.get());
    (void)path_->link.add_out(&c.forward->out());
  }
  // The link has let go of all lanes.
  void end() {
    channel_.reset();
    ins_.clear();
    for (auto& out : outs_)
      out.reset();
    asked.clear();
    wishes.clear();
    unwished.clear();
    ready.clear();
    closed.clear();
    refused.clear();
    acknowledged.clear();
    rdma.clear();
    rdma_ended.clear();
    rdma_mirrors.clear();
  }

  SimPort& port_;
  uint64_t self_;
  uint64_t lives_ = 0;
  uint64_t session_ = 0;
  NetPort net_;
  std::unique_ptr<LinkPath> path_;
  std::unique_ptr<ControlChannel> channel_;
  std::vector<std::unique_ptr<Taken>> ins_;
  std::array<std::unique_ptr<Sent>, 4> outs_;
};

}  // namespace penstock::test
