// Worker: one core's run-to-completion loop. It owns a port, the links whose paths run over it, and
// the lanes it reads for them. Other cores reach it through its command ring only.
//
//     port.rx ──▶ links ──▶ mirrors ──▶ local readers
//     bells  ──▶ lane tasks: forwards (lane ──▶ link) and group sources (lane ──▶ inboxes)
//     links  ──▶ port.tx
//     timers, commands
//
// The same object is driven by a thread of the daemon (run) or by an application (turn): the
// embedded node.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/base/counter.h"
#include "dataplane/base/drop.h"
#include "dataplane/base/idle.h"
#include "dataplane/base/spsc_ring.h"
#include "dataplane/lane/layout.h"
#include "dataplane/lane_task.h"
#include "dataplane/net_path.h"
#include "dataplane/port.h"

namespace penstock {

class Worker;

// Something control wants done on the worker's core. Control makes it and gets it back through
// take_done() when it has run; the pointers in it say who owns what afterwards.
class Command {
 public:
  Command() = default;
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;
  virtual ~Command() = default;
  virtual void run(Worker& worker, uint64_t now) = 0;
};

// Written by the worker, read by metrics.
struct alignas(kPair) WorkerStats {
  Counter turns;
  Counter busy_turns;
  Counter sleeps;
  Counter longest_turn_ns;  // grows only
  DropCounters drops;       // frames
};

class Worker {
 public:
  struct Config {
    uint32_t index = 0;
    IdleConfig idle;
  };

  explicit Worker(const Config& config);
  ~Worker();

  // --- any one other core: control ---

  // False: the ring is full, try again later.
  bool post(Command* command);
  // The next command that has run, or null.
  Command* take_done();
  // Wakes a sleeping worker (after post). Safe at any time.
  void ring() const;
  void stop();
  const WorkerStats& stats() const { return stats_; }

  // --- the worker's own core ---

  // One turn: at most a burst in from the port, everything that can go out. Returns the work done.
  uint32_t turn(uint64_t now);
  // Turns until stop().
  void run();

  // The rest is called by commands, or between turns when the application drives.

  // The port that this worker polls and the addresses it answers for. Both outlive the worker.
  void set_port(NetPort* port);

  // A link and its path; the caller owns them and keeps them until remove_link().
  Errc add_link(LinkPath* link);
  void remove_link(LinkPath* link);

  // A lane that this worker reads for a link or a group. `bell` names where its publisher rings.
  void add_task(LaneTask* task);
  void remove_task(LaneTask* task);
  // Looks at the task now: something may be there.
  void wake_task(LaneTask* task);

  // The bells of a client (its line for this worker); a task's bell is {page, slot}.
  void add_bells(BellPage* page);
  void remove_bells(BellPage* page);

  // Position slots that this worker writes as a reader of lanes, and the word that says it sleeps.
  void set_sleep_word(SharedWord* armed) { armed_ = armed; }
  // Adds a descriptor that wakes the worker when readable (a client's event).
  Errc add_wake_event(int fd);
  void remove_wake_event(int fd);

  uint64_t now() const { return now_; }
  WorkerStats& counters() { return stats_; }

 private:
  static constexpr size_t kBurst = 32;
  static constexpr size_t kCommands = 1024;
  static constexpr uint64_t kLingerNs = 100'000;  // see lane_task.h

  uint32_t receive(uint64_t now);
  uint32_t hear_bells();
  uint32_t poll_tasks(uint64_t now);
  uint32_t transmit(uint64_t now);
  uint32_t run_commands(uint64_t now);
  void sleep(uint64_t now, uint64_t max_ns);
  uint64_t next_deadline() const;

  Config config_;
  NetPort* port_ = nullptr;
  std::vector<LinkPath*> links_;
  struct Bells {
    BellPage* page;
    std::array<std::vector<LaneTask*>, 512> tasks;
  };
  std::vector<std::unique_ptr<Bells>> bells_;
  std::vector<LaneTask*> tasks_;   // all
  std::vector<LaneTask*> active_;  // polled every turn
  size_t sweep_ = 0;
  uint64_t now_ = 0;
  SharedWord* armed_ = nullptr;
  int epoll_fd_ = -1;
  int own_event_ = -1;
  Idle idle_;
  WorkerStats stats_;

  SpscRing<Command*, kCommands> commands_;
  SpscRing<Command*, kCommands> done_;
  alignas(kPair) StopFlag stop_;
};

}  // namespace penstock
