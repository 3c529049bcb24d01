// Roster: whom a node calls. Members that come, move and go become peers that are added and
// removed. What is in [[peer]] is called as it says there, unless an operator removes it.
//
//   Registry ──▶ take(): who is a member, and where ──▶ call(): the difference ──▶ Caller
//
// The control thread's.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>

#include "control/config/config.h"
#include "control/membership/registry.h"

namespace penstock {

class Roster {
 public:
  // The node and its ports.
  class Caller {
   public:
    virtual ~Caller() = default;
    // Also one that is removed and not yet gone.
    virtual bool has_peer(uint64_t id) const = 0;
    // Lives before `epoch` are not let in. False: no more links fit.
    virtual bool add_peer(const PeerOptions& way, uint64_t epoch) = 0;
    virtual void remove_peer(uint64_t id) = 0;
  };
  using Log = std::function<void(std::string)>;

  // `config` outlives this. What it has as [[peer]] is taken to be called already.
  Roster(const Config& config, Log log);

  void take(std::span<const MemberEvent> events);
  // Who has left, or is elsewhere, is removed; who is new, or gone and still wanted, is added.
  void call(Caller& caller);

  // The members as the store has them, by id, this node not among them.
  const std::map<uint64_t, Member>& known() const { return known_; }

 private:
  struct Peer {
    PeerOptions way;
    uint64_t epoch = 0;
    bool refused = false;  // there was no link for it, and the log says so
  };

  void there(const Member& member);
  void gone(const Member& member);
  void removed(const Member& member);
  const PeerOptions* configured(uint64_t id) const;

  const Config& config_;
  const Log log_;
  std::map<uint64_t, Member> known_;
  std::map<uint64_t, Peer> wanted_;         // who is to be called
  std::map<uint64_t, PeerOptions> called_;  // who is
};

}  // namespace penstock
