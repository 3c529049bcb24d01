// Link: one path's half of the reliable session between two nodes. Sans-IO: frames and `now` in,
// frames and events out; the same code runs on a NIC, in the simulator and under the fuzzer. Owned
// by one worker; counters may be read by any core. Fixed memory after the constructor.
//
//   on_frame ──▶ ReceivedPackets ──▶ InLanes ──▶ mirrors          transmit, in this order:
//      │ ACK                                                      handshake, retransmissions,
//      ▼                                                          control lane, lanes round robin,
//   SentPackets ──acked──▶ OutLanes ──lost──▶ resend ring         ACK last: off the critical path
//
//   kIdle ──start──▶ kConnecting ──HELLO ▶ ◀ HELLO_ACK──▶ kUp
//                         ▲   (either side may start, or both)  │
//                         └── silent, called anew, restarted, closed by the peer
//
// A connection is named by the id that each side chose for it. What comes from an old one is
// dropped. A session outlives its connections: while both sides hold its lanes it goes on with the
// next, and what was on its way goes once more. It ends as a whole: on kDown the link lets go of
// all lanes. Poll next_event() after each on_frame() and transmit(): what comes before a lane was
// added is dropped and has to be sent again.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/base/drop.h"
#include "dataplane/base/errc.h"
#include "dataplane/lane/layout.h"
#include "dataplane/link/congestion.h"
#include "dataplane/link/in_lane.h"
#include "dataplane/link/inflow.h"
#include "dataplane/link/lane_table.h"
#include "dataplane/link/link_relay.h"
#include "dataplane/link/link_stats.h"
#include "dataplane/link/out_lane.h"
#include "dataplane/link/path_mtu.h"
#include "dataplane/link/received_packets.h"
#include "dataplane/link/rtt.h"
#include "dataplane/link/sent_packets.h"
#include "dataplane/link/spread.h"
#include "dataplane/wire/close.h"
#include "dataplane/wire/hello.h"
#include "dataplane/wire/hop_header.h"

namespace penstock {

// The control channel: alias 0 each way, over private lanes of this shape.
inline constexpr uint32_t kControlAlias = 0;
inline constexpr LaneGeometry kControlGeometry{.ring_log2 = 8, .arena_log2 = 18, .topics = 1};

struct LinkConfig {
  uint64_t self_id = 0;
  uint64_t self_epoch = 1;
  uint64_t peer_id = 0;
  uint16_t path = 0;
  uint8_t worker = 0;      // in the upper 8 bits of our connection id
  uint32_t index = 0;      // the worker's name for this link: Link::index_of(connection), 12 bits
  uint32_t max_frame = 0;  // bytes from the hop header on, that we can send and receive
  uint64_t dead_after_ns = 10'000'000'000;  // silent for so long, a peer has lost its session
  uint64_t ack_delay_ns = 25'000;
  uint64_t min_pto_ns = 100'000;
  uint32_t window = 256;       // packets in flight at most; a power of two, at most 256
  bool congestion = true;      // false: the path has no queues but the two ends' own
  uint64_t queue_ns = 20'000;  // what queues in the network may add to a round trip
  uint32_t max_lanes = 1024;   // each way
  uint32_t source_ports = 1;   // that packets are spread over, at most Spread::kMost
  uint64_t seed = 1;           // of connection ids
  uint64_t first_packet = 1;
};

enum class LinkState : uint8_t { kIdle, kConnecting, kUp, kClosed };

struct LinkEvent {
  enum Kind : uint8_t {
    kUp,       // a new session with `peer_epoch`
    kDown,     // it is over: `why`. All lanes are detached; what they had in flight is lost
    kRefused,  // not connected, and the peer says why (at most once a second)
  };
  enum Why : uint8_t {
    kNothing,
    kSilent,         // nothing was heard for dead_after_ns
    kPeerRestarted,  // with a higher epoch
    kPeerReset,      // the same peer no longer has it
    kPeerClosed,     // it said so; `close` is its reason
    kClosedHere,     // close()
    kPeerVersion,    // it speaks another protocol
    kStaleHere,      // it knows a newer life of ours: this process is a left-over
  };
  Kind kind = kUp;
  Why why = kNothing;
  LinkClose close = LinkClose::kStopped;
  uint64_t peer_epoch = 0;
  uint64_t session = 0;  // that began or ended
};

// What the port knows of a frame's way here.
struct FrameNote {
  uint64_t waited_ns = 0;  // at most so long in the port: since it was last looked at
  bool congested = false;  // a queue on the way was long, and marked it
};

class Link {
 public:
  explicit Link(const LinkConfig& config);
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // Before start(): frames come through a queue that others send to as well. It outlives the link.
  void set_inflow(Inflow* inflow) { inflow_ = inflow; }

  // Begins to call the peer.
  void start(uint64_t now);

  // Ends the session and tells the peer with the next transmit(). The link stays closed.
  void close(LinkClose reason, uint64_t now);

  // The peer has shown `epoch` on another path: what is left of earlier lives ends here, too.
  void fence(uint64_t epoch, uint64_t now);

  // A frame that came for this link: by its connection id, or a HELLO by node and path. The bytes
  // are data[0, len) and then payload[0, payload_len); they are not used afterwards. kNone: taken.
  Drop on_frame(const std::byte* data, uint32_t len, const std::byte* payload, uint32_t payload_len,
                uint64_t now, const FrameNote& note = {});

  // Fills `frames` from the front and returns how many; the caller sends them, in this order. Runs
  // the timers too: call it when has_work() says so.
  size_t transmit(std::span<TxFrame> frames, uint64_t now);

  // transmit() would send something or has a timer to run. Cheap.
  bool has_work(uint64_t now) const;
  // The next timer, ~0 for none. Not before it, unless a frame comes or a lane is woken.
  uint64_t next_deadline() const;

  bool next_event(LinkEvent& out);
  bool has_event() const { return events_head_ != events_tail_; }

  // Lanes of the session; kClosed: there is none. The caller owns them and keeps them until it
  // removed them or kDown. kBusy: the alias is taken; kFull: no room in the table.
  Errc add_out(OutLane* lane);
  Errc remove_out(uint32_t alias);
  Errc add_in(InLane* lane);
  // What still comes for it is acknowledged and forgotten.
  Errc remove_in(uint32_t alias);

  // --- link_puts.cc: what goes by a PutPath. Of a lane that is not with the link any more it only
  // settles the books; `lane` exists as long as the path has anything of it. ---

  // The peer has these bytes of the message.
  void put_landed(OutLane& lane, uint64_t position, uint64_t offset, uint64_t bytes);
  // Of these nothing more comes that way: what has not landed goes by frames.
  void put_ended(OutLane& lane, uint64_t position, uint64_t offset, uint64_t bytes);
  // It takes messages again.
  void puts_again(OutLane& lane) { wake(&lane); }
  // A message of the peer's comes that way, or a part of it. kNone, or kDuplicate, or kNoLane:
  // nobody wants it any more; otherwise it makes no sense.
  Drop on_put(const FragmentHeader& m, uint64_t now);
  // So many bytes of it have landed, which had not before.
  void on_put_landed(const FragmentHeader& m, uint64_t offset, uint64_t bytes, uint64_t now);

  // Its feed may have something. Cheap when nothing changes.
  void wake(OutLane* lane) {
    if (lane->state_ == OutLane::State::kDry) activate(lane);
  }

  LinkState state() const { return state_; }
  bool up() const { return state_ == LinkState::kUp; }
  // Our id in this connection; another one in the next.
  uint32_t connection() const { return connection_; }
  // Whether the session of which kUp told is still the one. What was decided for it must not reach
  // the next, which knows none of its lanes and numbers its own as it likes.
  bool in_session(uint64_t session) const { return session != 0 && session == session_; }
  static uint32_t index_of(uint32_t connection) { return connection & 0xfff; }
  uint64_t peer_epoch() const { return peer_.epoch; }
  // Bytes of the largest frame that both sides can handle.
  uint32_t frame_limit() const { return limit_; }
  // Bytes of the largest frame that the path is known to carry.
  uint32_t path_limit() const { return mtu_.size(); }
  const LinkConfig& config() const { return config_; }
  const LinkStats& stats() const { return stats_; }
  const RelayStats& relay_stats() const { return relay_.stats(); }

 private:
  friend class ChainSeat;
  friend class LinkRelay;
  friend class Peers;
  friend class PutRelay;

  // The other side of the connection, as its HELLO or HELLO_ACK said.
  struct Peer {
    uint64_t epoch = 0;
    uint64_t session = 0;
    uint64_t offer = 0;
    uint32_t connection = 0;
  };

  // --- link.cc: frames in ---
  Drop take(std::span<const std::byte> frame, std::span<const std::byte> payload, uint64_t now);
  Drop take_session(const HopHeader& hop, std::span<const std::byte> body,
                    std::span<const std::byte> payload, uint64_t now);
  Drop take_contents(const HopHeader& hop, std::span<const std::byte> body,
                     std::span<const std::byte> payload, uint64_t now);
  Drop on_batch(std::span<const std::byte> body, uint64_t now);
  Drop on_piece(std::span<const std::byte> body, std::span<const std::byte> payload, uint64_t now);
  Drop on_ping(const HopHeader& hop, std::span<const std::byte> body);
  Drop on_pong(std::span<const std::byte> body, uint64_t now);
  Drop find_in(uint32_t alias, uint32_t epoch, InLane*& lane);
  void touch(InLane* lane, uint64_t now);
  void pass_time(uint64_t now);

  // --- link_send.cc: frames out ---
  size_t send_setup(std::span<TxFrame> frames, uint64_t now);
  size_t send_session(std::span<TxFrame> frames, uint64_t now);
  size_t send_again(std::span<TxFrame> frames, uint64_t now);
  size_t send_lanes(std::span<TxFrame> frames, uint64_t now);
  size_t send_lane(OutLane& lane, std::span<TxFrame> frames, uint64_t now);
  void send_contents(TxFrame& frame, const Sent& what, bool again, uint64_t now);
  void send_ack(TxFrame& frame, uint64_t now);
  size_t send_size_probe(TxFrame& frame, uint64_t now);
  void send_token(TxFrame& frame, FrameType type, uint8_t flags, uint64_t token, uint64_t now);
  void finish(TxFrame& frame, FrameType type, uint8_t flags, uint32_t connection, uint64_t now,
              uint8_t port = 0);
  bool ack_due(uint64_t now) const {
    return send_ack_ || owed_ != 0 || received_.ack_at(config_.ack_delay_ns) <= now;
  }
  bool contents_waiting() const {
    return again_head_ != again_tail_ || control_ != nullptr || round_head_ != round_tail_ ||
           relay_.ready();
  }
  // Another packet of contents may go now. A probe waits for nothing: the window may be closed for
  // what is lost already.
  bool may_send(uint64_t now) const {
    if (probes_owed_ != 0) [[unlikely]]
      return true;
    const uint32_t n = packets_.in_flight();
    if (n >= std::min(packets_.window(), congestion_.packets())) return false;
    return (n == 0 || next_packet_ <= allowed_) && now >= pace_at_;
  }
  uint32_t body_room() const { return mtu_.size() - static_cast<uint32_t>(kHopHeaderSize); }

  // --- link_loss.cc: acknowledgements, loss, timers ---
  Drop on_ack(std::span<const std::byte> body, uint64_t now);
  void on_credits(const CreditView& credits, uint64_t now);
  void sample(uint64_t round_ns, uint64_t delay_ns);
  uint32_t take_latest(const Ack& a);
  void settle(OutLane* lane);
  void find_lost(uint64_t now);
  void probe(uint64_t now);
  void look_at_way(const SentPacket& p, uint64_t now);
  // What is on its way or to be sent again was once a window of packets, each in one piece.
  void again(const Sent& what) {
    assert(again_tail_ - again_head_ < again_.size());
    again_[again_tail_++ & (again_.size() - 1)] = what;
  }
  void arm_probe();
  void arm_credit_probe(uint64_t now);
  void run_timers(uint64_t now);
  bool look_alive(uint64_t now);
  // After such a silence we ask whether the peer lives.
  uint64_t silence_ns() const { return config_.dead_after_ns / 5; }
  // When the session is lost, if nothing is heard until then.
  uint64_t lost_session_at() const {
    return session_ != 0 ? last_heard_ + config_.dead_after_ns : kNever;
  }
  void look_at_credits(uint64_t now);

  // --- link_lanes.cc: lanes come and go ---
  void activate(OutLane* lane);
  void rouse(OutLane* lane);
  void owe(InLane* lane);
  void detach_all();

  // --- link_setup.cc: sessions ---
  Drop on_hello(std::span<const std::byte> body, uint64_t now);
  Drop on_retry(std::span<const std::byte> body);
  Drop on_hello_ack(const HopHeader& hop, std::span<const std::byte> body, uint64_t now);
  Drop on_close(const HopHeader& hop, std::span<const std::byte> body, uint64_t now);
  Drop check_hello(const Hello& h, uint64_t now);
  void accept(const Hello& h);
  void begin_connection(uint64_t now);
  void reconnect(uint64_t now);
  void come_up(uint64_t now);
  void begin_session();
  void end_session(LinkEvent::Why why, LinkClose close);
  void go_down(LinkEvent::Why why, LinkClose close, uint64_t now);
  void refuse(const Hello& h, LinkClose reason, uint64_t now);
  void refused(LinkEvent::Why why, LinkClose close, uint64_t now);
  Hello hello(uint32_t nonce) const;
  // Whether the caller is so far behind with next_event() that nothing may happen now.
  bool events_full() const { return events_tail_ - events_head_ > events_.size() / 2; }
  // Whether a connection may: the caller keeps up, and the peer has not begun too many.
  bool may_come_up(uint64_t now) const;
  void push(const LinkEvent& e) { events_[events_tail_++ % events_.size()] = e; }

  LinkConfig config_;
  LinkState state_ = LinkState::kIdle;

  // What the lanes belong to, 0: nothing; and the peer's epoch in it. It never changes between a
  // connection's begin and its coming up, so that both sides know what the other holds.
  uint64_t session_ = 0;
  uint64_t session_epoch_ = 0;

  // The connection.
  uint32_t connection_ = 0;
  uint32_t nonce_ = 0;
  uint64_t cookie_ = 0;       // for that nonce
  uint64_t offer_ = 0;        // names the session that it begins, if the peer's id is higher
  uint64_t held_ = 0;         // session_ when it began
  uint32_t connections_ = 0;  // begun
  uint32_t limit_;
  Peer peer_;
  uint64_t next_packet_ = 1;
  uint64_t last_call_ = 0;  // the latest `now`
  uint64_t last_heard_ = 0;
  // What the peer has shown so far, in any connection: the highest epoch, and in it the last nonce.
  uint64_t known_epoch_ = 0;
  uint32_t known_nonce_ = 0;

  // What is to be sent besides lanes.
  bool send_hello_ = false;
  bool send_hello_ack_ = false;
  bool send_close_ = false;
  bool send_ack_ = false;
  bool send_pong_ = false;
  bool send_ping_ = false;
  uint8_t ping_flags_ = 0;
  uint32_t pings_left_ = 0;  // to be sent one after the other
  uint32_t hello_ack_nonce_ = 0;
  uint32_t close_connection_ = 0;
  Close close_;
  uint64_t pong_token_ = 0;
  uint64_t ping_token_ = 0;

  // Timers, kNever when not running.
  static constexpr uint64_t kNever = ~uint64_t{0};
  uint64_t hello_at_ = kNever;
  uint64_t hello_pause_ = 0;
  uint32_t hellos_ = 0;         // that nobody answered
  uint64_t alive_at_ = kNever;  // when to look whether the peer lives
  uint32_t heartbeats_ = 0;     // PINGs since it was heard
  uint64_t lost_at_ = kNever;
  uint64_t probe_at_ = kNever;
  uint64_t credit_probe_at_ = kNever;
  uint64_t credit_look_at_ = kNever;
  uint64_t credit_pause_ = 0;
  uint64_t spent_until_ = 0;  // what connections cost in time, paid as it passes
  uint64_t refuse_at_ = 0;    // not before: CLOSE as an answer
  uint64_t refused_at_ = 0;   // not before: kRefused
  uint32_t probes_ = 0;       // probe timeouts in a row
  uint32_t probes_owed_ = 0;  // packets that the last of them gave up and that have not gone again
  uint32_t credit_probes_ = 0;
  uint64_t last_contents_ = 0;  // when something for a mirror came

  PathMtu mtu_;
  uint64_t size_token_ = 0;  // of the last probe
  Rtt rtt_;
  Congestion congestion_;
  uint64_t allowed_ = kNever;  // the last packet that the peer lets us send
  uint64_t pace_at_ = 0;       // contents not before
  uint64_t newest_ack_ = 0;    // its largest
  uint32_t marks_known_ = 0;   // as the peer counts them
  uint32_t marks_ = 0;         // of packets that came, in this connection
  Inflow* inflow_ = nullptr;
  Inflow::Sender sender_;
  FrameNote note_;     // of the frame that is being taken
  uint32_t part_ = 0;  // crc_part() of its piece, when that is of a large message
  ReceivedPackets received_;
  SentPackets packets_;
  Spread spread_;
  std::vector<Sent> again_;  // ring: contents to be sent once more
  uint64_t again_head_ = 0;
  uint64_t again_tail_ = 0;

  LaneTable<OutLane> out_;
  LaneTable<InLane> in_;
  std::vector<OutLane*> round_;  // ring of active lanes
  uint64_t round_head_ = 0;
  uint64_t round_tail_ = 0;
  OutLane* control_ = nullptr;  // when active
  uint32_t blocked_ = 0;        // OutLanes that wait for credit
  std::vector<OutLane*> touched_;
  std::vector<InLane*> giving_;  // InLanes whose readers hold something
  size_t giving_at_ = 0;
  uint32_t owed_ = 0;  // of these, such as the next ACK has to name

  LinkRelay relay_{*this};

  std::array<LinkEvent, 8> events_;
  uint64_t events_head_ = 0;
  uint64_t events_tail_ = 0;
  LinkStats stats_;
};

}  // namespace penstock
