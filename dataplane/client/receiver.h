// Receiver: a subscription, broadcast or group, and the lanes that the node joined to it. It takes
// its lanes in turn, up to kBurst messages each, so that a busy publisher does not hide a quiet
// one.
//
// The socket is looked at now and then, whether there is something to read or not:
//
//   recv ──▶ let go of the last ──▶ lanes in turn ──▶ nothing? ──▶ spin
//        ──▶ arm every lane, remote_fence(), look again ──▶ sleep on {event, socket} ──▶ disarm
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/errc.h"
#include "dataplane/base/fd.h"
#include "dataplane/client/attach_protocol.h"
#include "dataplane/client/client.h"
#include "dataplane/client/joined_lane.h"
#include "dataplane/client/pacer.h"
#include "dataplane/client/penstock.h"

namespace penstock::client {

class Receiver {
 public:
  struct Options {
    attach::Mode mode = attach::Mode::kBroadcast;
    attach::Overflow overflow;
    attach::PathPolicy path = attach::PathPolicy::kAny;
    LaneGeometry inbox{0, 0, 0};
  };

  static Result<Receiver*> subscribe(Client& client, std::string_view filter,
                                     const Options& options);
  // Ends the subscription and this object.
  void close();

  Errc recv(penstock_message& out, int64_t timeout_ns);
  // How many were handled, or minus a code.
  int64_t poll(penstock_handler handler, void* context, size_t limit);
  void release();
  int event_fd();
  void read_stats(penstock_receiver_stats& out) const;
  Client& client() const { return client_; }

  // --- what the node says, told by Client ---

  bool is(uint64_t subscription) const { return subscription_ == subscription; }
  // A Join for a subscription that nobody knows yet belongs to the one being asked for.
  void expect(uint64_t subscription) { subscription_ = subscription; }
  // False: the packet makes no sense.
  bool join(const attach::Join& join, const Packet& packet);
  void leave(const attach::Leave& leave);
  void end(const attach::Ended& ended);
  void say_goodbye() const;

 private:
  static constexpr uint32_t kBurst = 16;
  static constexpr uint32_t kWaiting = 32;  // polls that found nothing: the senders are slow
  // A program that polls now and then wants to hear of a new publisher at one of its next calls.
  static constexpr uint32_t kFewCalls = 4;

  Receiver(Client& client, std::string_view filter) : client_(client), filter_(filter) {}
  ~Receiver() = default;
  Errc start(const Options& options);

  bool next(const penstock_message*& out);
  int64_t look_around(penstock_handler handler, void* context, size_t limit);
  int64_t take(penstock_handler handler, void* context, size_t limit);
  size_t take_plain(penstock_handler handler, void* context, size_t limit, bool more);
  bool vacant(bool waiting) const {
    for (const auto& lane : lanes_)
      if (!lane->vacant(waiting)) return false;
    return true;
  }
  bool evicted(JoinedLane& lane, bool in_use, const penstock_message*& out);
  void next_lane();
  void look_while_busy();
  void drop_finished();
  void let_go() {
    if (held_ == nullptr || lost_held_) return;
    if (held_->done(held_message_)) [[likely]]
      held_ = nullptr;
    else
      lose_held();
  }
  void lose_held();
  Errc nothing() const;

  Errc glance(const penstock_message*& out);
  Errc wait(const penstock_message*& out, int64_t timeout_ns);
  bool spin(const penstock_message*& out, uint64_t start, uint64_t deadline);
  Errc sleep(const penstock_message*& out, uint64_t deadline);
  Errc watch(const penstock_message*& out);
  void arm_all();
  void disarm_all();
  bool drain_event();
  void set_timer(uint64_t after_ns);
  void nudge();

  Client& client_;
  std::string filter_;
  std::vector<std::unique_ptr<JoinedLane>> lanes_;
  size_t turn_ = 0;             // whose turn it is
  uint32_t burst_ = kBurst;     // what it may still give
  uint32_t unlooked_ = kBurst;  // calls that may still find something until the socket's turn
  JoinedLane* held_ = nullptr;  // gave what is shown
  bool held_message_ = false;   // ... which is a message of held_bytes_, not a gap
  uint64_t held_bytes_ = 0;
  bool settled_ = false;     // poll() left nothing open
  uint32_t vacant_ = 0;      // polls since then that found nothing
  bool lost_held_ = false;   // ... but held_ was evicted meanwhile: a gap comes next
  bool more_ = false;        // unwanted messages kept next() from looking at everything
  bool watched_ = false;     // somebody sleeps on event_fd()
  bool armed_ = false;       // all lanes are, for that somebody
  Errc failed_ = Errc::kOk;  // a lane that could not be mapped
  std::string ended_;        // why the node ended the subscription
  attach::Overflow overflow_;
  bool zero_copy_ = false;  // its path policy
  Pacer pacer_{kFewCalls};
  uint64_t spin_ns_ = 0;  // halves when spinning does not pay
  uint32_t waits_ = 0;
  uint64_t subscription_ = 0;
  Fd event_;    // from the node: an epoll instance that we can only drain
  Fd timer_;    // wakes who sleeps on event_fd() when no event does
  Fd wake_fd_;  // epoll over these two and the control socket
  penstock_receiver_stats stats_{};
};

}  // namespace penstock::client
