// Node: the control plane of one host: who is attached, which lanes there are, who reads them, and
// what goes to which peer. One thread; workers are reached by errands only, clients by their
// sockets, peers by the control channels of their links.
//
//   clients ──socket──▶ ┌──────┐ ──errands──▶ workers
//   peers ──channel──▶  │ Node │ ◀──notices── links
//                       └──────┘
//
// Nothing here is per message. It never blocks: poll() does what can be done and returns.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "control/events/event.h"
#include "control/node/node_config.h"
#include "control/node/numbers.h"
#include "control/node/records.h"
#include "control/rights/rights.h"
#include "dataplane/net_port.h"
#include "dataplane/topic/trie.h"

namespace penstock {

class Node {
 public:
  // Gets what an operator should know of: set-up and faults, never per message. What is raised is
  // cleared later, with the same subject.
  using Log = std::function<void(const Event&)>;

  // Makes the shared tables and the workers (not their threads). The text says what failed.
  static std::unique_ptr<Node> create(const NodeConfig& config, Log log, std::string& error);
  ~Node();

  Worker& worker(uint32_t i) { return workers_[i]->worker; }
  uint32_t worker_count() const { return static_cast<uint32_t>(workers_.size()); }

  // --- before it runs ---
  void add_port(PortRow row);
  // A worker's device for RDMA, nearest first; it outlives the node. Before peers are added.
  void add_fabric(std::string name, uint32_t worker, Fabric& fabric, uint64_t bytes_per_s);
  // JSON text of the placement, for `show topology`.
  void set_topology(std::string json) { topology_ = std::move(json); }

  // --- the control thread ---

  // Paths in the order of their index; path i runs on worker i % worker_count(), over that worker's
  // port. Also before the node runs; not as long as has_peer(id). Of the peer's lives only those
  // from `epoch` on are let in.
  void add_peer(uint64_t id, std::string name, std::vector<PathRecord> paths, uint64_t epoch = 0);
  // It is called no more. Its links close, and it is told; lanes to it are given up (peer_down),
  // mirrors from it close after what was whole, nobody waits for its answers. `gone` is called from
  // poll() when nothing of it is left at a worker: a tick or two later. Of what it misses from now
  // on it is told if it is added again in the same life.
  void remove_peer(uint64_t id, std::function<void()> gone = nullptr);
  // It was added, and is not yet gone.
  bool has_peer(uint64_t id) const;
  // Peers with a path that is up, by id.
  std::set<uint64_t> peers_up() const;

  void add_client(std::unique_ptr<Session> session, uint64_t now);

  // Who may do what from now on; without a call: everybody everything. What clients and peers have
  // and may not have any more ends: now, but a lane gives its readers half a second.
  void set_rights(Rights rights);

  // Does everything that can be done now; returns how much. `now` in ns, monotonic.
  uint32_t poll(uint64_t now);

  // Descriptors that say when poll() has something to do; level-triggered, in one epoll instance.
  int events() const { return epoll_.get(); }
  // Between two polls: true when it is safe to sleep on events() (at most kTickNs).
  bool before_sleep();
  void after_sleep();
  static constexpr uint64_t kTickNs = 50'000'000;

  // Comes to an end in order, by `until` (ns, as poll's) at the latest; a later call may only say
  // sooner. New clients, publishers, topics and subscriptions are refused ("draining"); publishers
  // are told that their lanes end after what is published; peers give this node no more work. What
  // is published gets to its readers as far as they take it.
  void drain(uint64_t until);
  bool draining() const { return drain_until_ != 0; }
  // All of it has, or the time was up: then the log says what has not. stop() is next.
  bool drained() const { return drained_; }
  // Tells peers and clients that it ends: no more messages will come from here.
  void stop(uint64_t now);
  // Every second or so: raises and clears what nobody says by himself. Workers that do not come
  // round, ports that are down or out of buffers, connections that are gone, readers that hold
  // their publisher back, messages that are dropped.
  void look_around(uint64_t now);

  // Nothing is on its way to a worker any more.
  bool idle() const;

  // All that metrics are made of. What was counted stays counted when its lane ends.
  NodeNumbers numbers() const;

  std::string show(std::string_view question);  // the answer, as JSON; see node_show.cc
  // Topics that `filter` takes (empty: all), and subscriptions that take `topic` (empty: all): at
  // most `limit` of them, as JSON; see node_show_topics.cc.
  std::string show_topics(std::string_view filter, size_t limit);
  std::string show_subscriptions(std::string_view topic, size_t limit);

  const NodeConfig& config() const { return config_; }

 private:
  struct WorkerRecord {
    explicit WorkerRecord(const Worker::Config& c) : worker(c), errands(worker) {}
    Worker worker;
    Errands errands;
    std::vector<std::unique_ptr<PositionTableRecord>> tables;
    uint64_t asked = 0;  // when it was last asked whether it comes round
    bool answered = true;
    bool stuck = false;
  };

  explicit Node(const NodeConfig& config, Log log) : config_(config), log_(std::move(log)) {}
  bool open(std::string& error);

  // node.cc
  uint32_t poll_workers(uint64_t now);
  uint32_t poll_clients(uint64_t now);
  void tick(uint64_t now);
  void note(EventName name, std::string text) const;
  void raise(EventName name, std::string subject, std::string text) const;
  void clear(EventName name, std::string subject, std::string text) const;
  Errands& errands(uint32_t worker) { return workers_[worker]->errands; }

  // node_clients.cc: what clients ask for
  bool take(ClientRecord& c, const Packet& packet);
  bool on_tenant(ClientRecord& c, const attach::Tenant& m);
  bool on_hello(ClientRecord& c, const attach::Hello& m);
  bool on_mapped(ClientRecord& c, const attach::Mapped& m);
  bool on_declare(ClientRecord& c, const attach::Declare& m);
  bool on_add_topic(ClientRecord& c, const attach::AddTopic& m);
  bool on_subscribe(ClientRecord& c, const attach::Subscribe& m);
  bool on_unsubscribe(ClientRecord& c, const attach::Unsubscribe& m);
  bool on_close_lane(ClientRecord& c, const attach::CloseLane& m);
  bool on_released(ClientRecord& c, const attach::Released& m);
  bool on_query(ClientRecord& c, const attach::Query& m);
  void finish_subscribe(Subscription& s);
  void end_subscription(Subscription& s, bool died);

  // node_gone.cc
  void client_gone(ClientRecord& c);
  void retire(std::shared_ptr<ClientRecord> record);

  // node_rights.cc
  enum class Limit : uint8_t { kClients, kLanes, kBytes, kSubscriptions };
  bool admit(ClientRecord& c, const attach::Header& h);
  std::optional<std::string> allowed_name(ClientRecord& c, const attach::Header& h, Right right,
                                          const std::string& name) const;
  bool may_ask(ClientRecord& c, const attach::Header& h) const;
  std::string over_limit(const ClientRecord& c, Limit limit, uint64_t more) const;
  void review(ClientRecord& c);
  bool may(const PeerRecord& p, Right right, std::string_view name) const;
  void deny(PeerRecord& p, const peer::SubAdd& m);
  void review(PeerRecord& p);
  void limit_life(LaneRecord& lane);
  void end_revoked(LaneRecord& lane);

  // node_lanes.cc
  Result<LaneRecord*> make_lane(LaneKind kind, const LaneGeometry& geometry, const char* what);
  void topic_added(LaneRecord& lane, uint32_t topic);
  void close_lane(LaneRecord& lane, CloseReason why);
  bool drained(const LaneRecord& lane, const ReaderRecord& r) const;
  void lane_progress(LaneRecord& lane);
  void destroy_lane(LaneRecord& lane);
  void free_lane(uint64_t id);

  // node_limits.cc: what a request would take, before anything is done for it
  bool wants(const Subscription& s, const LaneRecord& lane) const;
  std::string no_room_for(const Subscription& s) const;
  std::string no_room_for_topic(const LaneRecord& lane, const std::string& topic);

  // node_readers.cc
  void join_subscription(LaneRecord& lane, Subscription& s);
  Result<ReaderRecord*> join(LaneRecord& lane, PositionTableRecord& table, bool lossy);
  void tell_writer(ReaderRecord& r, int event);
  LaneReader::Join worker_join(const ReaderRecord& r) const;
  void part(ReaderRecord& r, Drop undelivered);
  Totals totals(const ReaderRecord& r) const;
  void ask_to_leave(const ReaderRecord& r);
  void turn_out(ClientRecord& c, Errc code, const std::string& why);
  void check_readers(LaneRecord& lane);
  std::string too_slow(const LaneRecord& lane, ReaderRecord& r, uint64_t slowest) const;
  void disconnect(Subscription& s, const std::string& why);
  void end_by_node(Subscription& s, Drop undelivered, const std::string& text);
  PositionTableRecord* worker_table(uint32_t worker);
  Wake worker_wake(uint32_t worker, BellPage* bells, uint32_t slot);

  // node_groups.cc
  Result<GroupRecord*> group_for(std::string_view filter);
  Errc add_member(Subscription& s, const LaneGeometry& geometry);
  void remove_member(Subscription& s, bool died);
  void group_topic(GroupRecord& g, LaneRecord& lane, uint32_t topic);
  SourceRecord* find_source(GroupRecord& g, const LaneRecord& lane) const;
  SourceRecord* source_for(GroupRecord& g, LaneRecord& lane);
  void remove_source(SourceRecord& s);
  void take_off_worker(SourceRecord& s);
  void stay(SourceRecord& s);
  void end_group_if_unused(GroupRecord& g);
  bool wanted_by_peer(const GroupRecord& g) const;
  bool in_use(const GroupRecord& g) const;
  bool has_takers(const GroupRecord& g, const LaneRecord& lane) const;
  void read_mirrors(GroupRecord& g);
  bool adopt_inbox(GroupRecord& g, LaneRecord& inbox, ReaderRecord& r);

  // node_peers.cc, node_interests.cc: what peers ask for; node_forwards.cc: what goes to them
  void on_notice(const LinkNotice& notice, uint64_t now);
  void fence(PeerRecord& p, uint64_t epoch);
  void path_up(PeerRecord& p, uint32_t path, uint64_t session, uint64_t now);
  void path_down(PeerRecord& p, uint32_t path, LinkEvent::Why why);
  uint32_t poll_peer(PeerRecord& p);
  void cut(PeerRecord& p, const std::string& why);
  void take(PeerRecord& p, std::span<const std::byte> message);
  void on_sub_add(PeerRecord& p, const peer::SubAdd& m);
  void on_sub_del(PeerRecord& p, const peer::SubDel& m);
  void forget_missed(PeerRecord& p);
  void on_sub_all(PeerRecord& p, const peer::SubAll& m);
  void on_sub_ack(PeerRecord& p, const peer::SubAck& m);
  void on_sub_refused(PeerRecord& p, const peer::SubRefused& m);
  void acknowledged(PeerRecord& p, uint64_t key);
  void on_lane_ready(PeerRecord& p, const peer::LaneReady& m);
  void on_lane_refused(PeerRecord& p, const peer::LaneRefused& m);
  void send_bytes(PeerRecord& p, std::span<const std::byte> message);
  template <class T>
  void send(PeerRecord& p, const T& message) {
    send_bytes(p, std::as_bytes(std::span(&message, 1)));
  }
  void offer(PeerRecord& p, LaneRecord& lane, Interest& interest);
  void wait_for_end(ForwardRecord& f, Interest& interest);
  ForwardRecord* forward_for(PeerRecord& p, LaneRecord& lane, GroupRecord* g);
  void ask_topic(ForwardRecord& f, uint32_t topic);
  void ask_again(LaneRecord& lane);
  void start_forward(ForwardRecord& f, const LaneGeometry& mirror);
  void forward_started(ForwardRecord& f, Errc how);
  void topic_ready(ForwardRecord& f, uint32_t topic);
  void topic_refused(ForwardRecord& f, uint32_t topic);
  void forward_refused(ForwardRecord& f, bool tell);
  void tell_held(LaneRecord& lane, uint64_t head, uint64_t slowest);
  void note_missed(LaneRecord& lane, const ForwardRecord& f);
  void end_forward(ForwardRecord& f, Drop undelivered, bool tell);
  void take_off_worker(ForwardRecord& f, LaneRecord& lane, SourceRecord* source, Drop undelivered,
                       bool tell, uint32_t worker, uint64_t session);
  ForwardRecord* find_forward(PeerRecord& p, uint32_t path, uint32_t alias);
  void acknowledge(PeerRecord& p, uint64_t key, Interest& interest);
  size_t skip_unwanted(LaneRecord& lane, ForwardRecord& f);
  void set_shed(LaneRecord& lane, ForwardRecord& f, Interest* waiting);
  std::function<void()> when_ready(const ForwardRecord& f, uint32_t topic);
  attach::Overflow shared_overflow(Mode mode, const std::string& filter) const;
  void wish(Mode mode, const std::string& filter, Subscription& s);
  void unwish(Mode mode, const std::string& filter);

  // node_drain.cc
  bool refuse_new(ClientRecord& c, const attach::Header& h);
  void look_at_drain(uint64_t now);
  std::string undelivered(uint64_t& messages) const;

  // node_members.cc: peers come and go
  void see_off(uint64_t now);
  void take_off(PeerRecord& p);
  bool uses_rdma(const PeerRecord& p) const;

  // node_rdma.cc: connections beside the links
  void give_rdma(PeerRecord& p);
  static RdmaRecord* rdma_of(PeerRecord& p, uint32_t path, uint32_t rail, uint32_t life);
  Errc open_rdma(RdmaRecord& r, peer::RdmaEndpoint& end);
  Errc join_rdma(RdmaRecord& r, const peer::RdmaEndpoint& end);
  void rdma_failed(RdmaRecord& r, const char* what, Errc why);
  void call_rdma(RdmaRecord& r);
  void on_rdma_call(PeerRecord& p, const peer::RdmaCall& m);
  void never_joined(RdmaRecord& r);
  void on_rdma_answer(PeerRecord& p, const peer::RdmaAnswer& m);
  void on_rdma_refused(PeerRecord& p, const peer::RdmaRefused& m);
  void stop_rdma(RdmaRecord& r);
  void rdma_stopped(RdmaRecord& r);
  void on_rdma_landed(PeerRecord& p, const peer::RdmaLanded& m);
  void on_rdma_end(PeerRecord& p, const peer::RdmaEnd& m);
  void end_rdma(RdmaRecord& r);
  void rdma_down(RdmaRecord& r);
  void look_at_rdma();
  void look_at_rail(RdmaRecord& r);
  template <class F>
  void each_rdma(F&& f) {
    for (auto& [id, p] : peers_)
      each_rail(*p, f);
    for (auto& p : leaving_)
      each_rail(*p, f);
  }

  // node_puts.cc: which lanes go over them
  const Registered* register_arena(FabricRow& f, RegistrationCache& cache, LaneRecord& lane);
  void offer_mirrors(RdmaRecord& r);
  void offer_mirror(LaneRecord& lane, RdmaRecord& r);
  void on_rdma_mirror(PeerRecord& p, const peer::RdmaMirror& m);
  void put_forward(ForwardRecord& f, RdmaRecord& r);
  void off_rdma(ForwardRecord& f, uint64_t since, std::function<void()> then);
  void look_at_leaving_rdma();
  void unregister(LaneRecord& lane);

  // node_mirrors.cc: what peers forward to us
  void on_lane_topic(PeerRecord& p, const peer::LaneTopic& m);
  void on_lane_close(PeerRecord& p, const peer::LaneClose& m);
  void on_lane_held(PeerRecord& p, const peer::LaneHeld& m);
  LaneRecord* open_mirror(uint64_t id);
  LaneRecord* find_mirror(PeerRecord& p, uint32_t path, uint32_t alias);
  Result<LaneRecord*> make_mirror(PeerRecord& p, const peer::LaneTopic& m);
  void close_mirror(LaneRecord& lane, CloseReason why);

  // node_paths.cc: which way messages come, and what subscriptions say to that
  std::pair<Errc, const char*> bad_path(const attach::Subscribe& m) const;
  attach::PathPolicy shared_path(Mode mode, const std::string& filter) const;
  static bool goes_by_rdma(const ForwardRecord& f);
  static bool waits_for_rdma(const ForwardRecord& f);
  void look_at_waiting();
  void tell_waiting(ForwardRecord& f, bool waits) const;
  static bool stands_at_copied(const LaneRecord& lane, const ReaderRecord& r);
  void look_at_slow_paths();
  void tell_slow_path(ReaderRecord& r, bool slow) const;
  static Came came(const ReaderRecord& r);
  static std::string why_copied(const LaneRecord& mirror);

  // node_look.cc
  void look_at_workers();
  void look_at_ports();
  void look_at_links();
  void look_at_readers();
  void look_at_drops();
  static std::string path_name(const PeerRecord& p, uint32_t path);
  static std::string reader_name(const ReaderRecord& r);
  void turn(bool is, bool& was, EventName name, const std::string& subject, const std::string& bad,
            const std::string& good) const;

  // node_numbers.cc
  static Taker taker(const ReaderRecord& r);
  static uint64_t stalls(const ForwardRecord& f);
  void count_ended(const LaneRecord& lane);
  static void count_delays(const ClientRecord& c, Counted& sum);

  // node_show.cc
  std::map<Drop, uint64_t> drops() const;
  std::string show_lanes();
  std::string show_links();
  std::string show_ports();
  std::string show_clients();
  std::string show_drops();
  std::string show_node();

  NodeConfig config_;
  Log log_;
  Rights rights_;
  std::string topology_ = "{}";
  Fd epoll_;
  Fd control_event_;  // rung by workers for the control channels
  SealedMemory worker_page_;
  Mapping worker_page_map_;
  Fd worker_page_reader_;
  std::vector<std::unique_ptr<WorkerRecord>> workers_;
  std::vector<PortRow> ports_;
  Arenas arenas_;
  std::vector<std::unique_ptr<FabricRow>> fabrics_;  // outlive lanes and peers
  std::vector<LeavingRdma> leaving_rdma_;
  uint64_t now_ = 0;
  uint64_t started_ = 0;
  uint64_t next_tick_ = 0;
  uint64_t drain_until_ = 0;   // 0: it does not drain
  uint32_t nothing_left_ = 0;  // ticks that found everything delivered
  bool drained_ = false;

  uint32_t next_client_ = 1;
  uint64_t next_lane_ = 1;
  uint64_t next_subscription_ = 1;
  uint64_t next_wish_ = 1;
  BellPage own_bells_;  // lanes that this process writes and its workers read
  BellSlots own_bell_slots_;

  std::map<uint32_t, std::unique_ptr<ClientRecord>> clients_;
  Trie<Subscription*> broadcasts_;  // of all clients, by filter
  std::map<uint64_t, std::unique_ptr<LaneRecord>> lanes_;
  Totals left_;    // of lanes that are no more
  Counted ended_;  // and of readers and forwards
  std::map<Drop, Growth> dropping_;
  std::map<std::string, std::unique_ptr<GroupRecord>, std::less<>> groups_;
  std::map<uint64_t, std::unique_ptr<PeerRecord>> peers_;
  std::vector<std::unique_ptr<PeerRecord>> leaving_;  // removed, and something of it is left
  std::deque<FormerPeer> former_;                     // removed, the last of them
  std::map<std::pair<Mode, std::string>, Wish> wishes_;
};

}  // namespace penstock
